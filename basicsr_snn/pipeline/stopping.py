"""SIGINT or SIGTERM ends a training after its current iteration, with a checkpoint; so do pictures that go missing."""
from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from basicsr.utils import get_root_logger

from basicsr_snn.compat.replacing import replaces
from basicsr_snn.data.workers import STOP_SIGNALS, end_workers
from basicsr_snn.errors import DataError, WorkerError
from basicsr_snn.pipeline.second_signal import second_signal_ends_at_once

ASK_EVERY = 10
"""Most iterations between two questions to the other processes whether one was told to stop: on a GPU each waits for
the step's end."""
ASK_WITHIN_S = 2.0
"""Where iterations are slow, the question is asked as often as this: torchrun kills 30 s after it told to stop."""


class StopRequest:
    """Turns a signal into a checkpoint and an exit at the next point where the training is in a consistent state."""

    def __init__(self) -> None:
        self.signal_number = 0
        self.finished_iteration = 0
        self.begun = False
        self.in_step = False
        self.sampler: Any = None
        self.model: Any = None
        self._asked_at, self._next_question, self._last_answer = 0, 0, time.monotonic()

    def receive(self, signal_number: int, _frame: object) -> None:
        """Signal handler. Not the place to save: an optimiser step may be half done."""
        self.signal_number = signal_number
        if not self.begun:
            sys.stderr.write('Stopped before the first iteration: there was nothing to save.\n')
            raise SystemExit(128 + signal_number)

    def watch(self, model: Any) -> None:
        """Check for a stop after each iteration of ``model`` and before each picture of a validation."""
        optimize, test, update_learning_rate = model.optimize_parameters, model.test, model.update_learning_rate
        self.model = model

        def begin_step(*args: Any, **kwargs: Any) -> None:
            self.begun = self.in_step = True
            update_learning_rate(*args, **kwargs)

        def optimize_parameters(current_iter: int) -> None:
            self.begun = True
            optimize(current_iter)
            self.in_step = False
            self.finished_iteration = current_iter
            if self._wanted(model, current_iter):
                self._stop()

        def test_unless_stopped(*args: Any, **kwargs: Any) -> Any:
            if self.signal_number:  # of several processes only rank 0 validates, and the others wait for it
                self._stop()
            return test(*args, **kwargs)

        model.update_learning_rate, model.optimize_parameters = begin_step, optimize_parameters
        model.test = test_unless_stopped

    def _wanted(self, model: Any, iteration: int) -> bool:
        """A signal reaches the processes at different iterations, and all must leave at the same one."""
        if not model.opt['dist']:
            return self.signal_number != 0
        if iteration < self._next_question:
            return False
        passed = (time.monotonic() - self._last_answer) / (iteration - self._asked_at)
        asked = torch.tensor([self.signal_number, passed], device=model.device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        highest, seconds_each = asked.tolist()  # the same on all: so is the next question
        self._next_question = iteration + max(1, min(ASK_EVERY, int(ASK_WITHIN_S / max(seconds_each, 1e-6))))
        self._asked_at, self._last_answer = iteration, time.monotonic()
        if highest:  # else one may have arrived here meanwhile, to be told to the others next time
            self.signal_number = int(highest)
        return bool(highest)

    def _stop(self) -> None:
        self.save()
        raise SystemExit(128 + self.signal_number)

    def save(self) -> None:
        """Save what the last finished iteration left, unless there is none or a step is half done."""
        if self.finished_iteration and not self.in_step:
            self.model.save(self.sampler.epoch, self.finished_iteration)
            get_root_logger().info(f'Stopped at iteration {self.finished_iteration}; resume with --auto_resume')

    def save_the_end(self) -> None:
        """Save where a training ended, unless that was just done: one of more iterations can go on from there."""
        if self.finished_iteration % self.model.opt['logger']['save_checkpoint_freq']:
            self.model.save(self.sampler.epoch, self.finished_iteration)


@contextmanager
def stoppable_training() -> Iterator[None]:
    """Let SIGINT and SIGTERM save before they end the training, and lost pictures and workers too. The end saves where
    it is, as well: BasicSR saves only the weights then."""
    request = StopRequest()

    @replaces('build_model', 'basicsr.train')
    def build_watched_model(build_model: Callable[[dict[str, Any]], Any], opt: dict[str, Any]) -> Any:
        """The model is what is asked after each iteration whether to stop, and what saves."""
        model = build_model(opt)
        request.watch(model)
        return model

    @replaces('create_train_val_dataloader', 'basicsr.train')
    def create_watched_loaders(create_loaders: Callable[..., tuple], *args: Any) -> tuple:
        """The sampler alone knows the epoch, which a checkpoint needs."""
        loaders = create_loaders(*args)
        request.sampler = loaders[1]
        return loaders

    with stop_signals_received(request), build_watched_model, create_watched_loaders:
        try:
            yield
            request.save_the_end()
        except (DataError, WorkerError):
            request.save()
            raise
        finally:
            end_workers()


@contextmanager
def stop_signals_received(request: StopRequest) -> Iterator[None]:
    """Context in which ``request`` gets the first signal, and a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return
    kept_handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        with second_signal_ends_at_once():
            for number in STOP_SIGNALS:
                signal.signal(number, request.receive)
            yield
    finally:
        for number, handler in kept_handlers.items():
            signal.signal(number, handler)
