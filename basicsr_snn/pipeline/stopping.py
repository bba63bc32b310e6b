"""SIGINT or SIGTERM ends a training after its current iteration, with a checkpoint."""
from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from basicsr.utils import get_root_logger

from basicsr_snn.compat.replacing import replaces

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
ASK_EVERY = 10
"""Iterations between two questions to the other processes whether one was told to stop: on a GPU each waits for the
step's end."""


class StopRequest:
    """Turns a signal into a checkpoint and an exit at the next point where the training is in a consistent state."""

    def __init__(self) -> None:
        self.signal_number = 0
        self.finished_iteration = 0
        self.sampler: Any = None

    def receive(self, signal_number: int, _frame: object) -> None:
        """Signal handler. Not the place to save: an optimiser step may be half done."""
        self.signal_number = signal_number

    def watch(self, model: Any) -> None:
        """Check for a stop after each iteration of ``model`` and before each picture of a validation."""
        optimize, test = model.optimize_parameters, model.test

        def optimize_parameters(current_iter: int) -> None:
            optimize(current_iter)
            self.finished_iteration = current_iter
            if self._wanted(model, current_iter):
                self._stop(model)

        def test_unless_stopped(*args: Any, **kwargs: Any) -> Any:
            if self.signal_number and not model.opt['dist']:  # only rank 0 validates and cannot ask the others
                self._stop(model)
            return test(*args, **kwargs)

        model.optimize_parameters, model.test = optimize_parameters, test_unless_stopped

    def _wanted(self, model: Any, iteration: int) -> bool:
        """A signal reaches the processes at different iterations, and all must leave at the same one."""
        if not model.opt['dist']:
            return self.signal_number != 0
        if iteration % ASK_EVERY:
            return False
        highest = torch.tensor(self.signal_number, device=model.device)
        torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
        if highest:  # else one may have arrived here meanwhile, to be told to the others next time
            self.signal_number = int(highest)
        return bool(highest)

    def _stop(self, model: Any) -> None:
        if self.finished_iteration:
            model.save(self.sampler.epoch, self.finished_iteration)
            get_root_logger().info(f'Stopped at iteration {self.finished_iteration}; resume with --auto_resume')
        raise SystemExit(128 + self.signal_number)


@contextmanager
def stoppable_training() -> Iterator[None]:
    """Let SIGINT and SIGTERM save before they end the training, from the moment the model is built."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return
    request = StopRequest()
    kept_handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    @replaces('build_model', 'basicsr.train')
    def build_watched_model(build_model: Callable[[dict[str, Any]], Any], opt: dict[str, Any]) -> Any:
        """The model is what is asked after each iteration whether to stop, and what saves."""
        model = build_model(opt)
        request.watch(model)
        for number in STOP_SIGNALS:
            signal.signal(number, request.receive)
        return model

    @replaces('create_train_val_dataloader', 'basicsr.train')
    def create_watched_loaders(create_loaders: Callable[..., tuple], *args: Any) -> tuple:
        """The sampler alone knows the epoch, which a checkpoint needs."""
        loaders = create_loaders(*args)
        request.sampler = loaders[1]
        return loaders

    try:
        with build_watched_model, create_watched_loaders:
            yield
    finally:
        for number, handler in kept_handlers.items():
            signal.signal(number, handler)
