"""BasicSR's training pipeline with this package registered: ``python -m basicsr_snn.train -opt X.yml``.

The current folder is the root: ``experiments/`` and ``tb_logger/`` are made there. SIGINT or SIGTERM ends a training
after its current iteration, with a checkpoint.
"""
from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from basicsr import train as basicsr_train
from basicsr.utils import get_root_logger
from basicsr.utils import logger as basicsr_logger

from basicsr_snn.errors import UserError
from basicsr_snn.options import parse_checked_options

basicsr_train.parse_options = parse_checked_options

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
ASK_EVERY = 10
"""Iterations between two questions to the other processes whether one was told to stop: on a GPU each waits for the
step's end."""


def main(argv: list[str] | None = None) -> None:
    """Train as the option file says.

    Args:
        argv: ``-opt X.yml [--auto_resume] [--launcher pytorch] [--force_yml k:k=v ...]``; ``None``: the command line.

    Raises:
        UserError: An option, path or checkpoint cannot be used.
        SystemExit: SIGINT or SIGTERM stopped the training, after a checkpoint; the code is 128 plus the signal number.
    """
    with pipeline_arguments(argv), stoppable_training():
        basicsr_train.train_pipeline(os.getcwd())


@contextmanager
def pipeline_arguments(argv: list[str] | None) -> Iterator[None]:
    """Put ``argv`` where BasicSR reads it, and leave the process group that BasicSR may have joined."""
    forget_log_file()
    kept = sys.argv
    sys.argv = [kept[0], *(kept[1:] if argv is None else argv)]
    try:
        yield
    finally:
        sys.argv = kept
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def forget_log_file() -> None:
    """Let BasicSR set its logger up anew: it does so once in a process, and later runs would write into the first
    log."""
    for handler in list(logging.getLogger('basicsr').handlers):
        logging.getLogger('basicsr').removeHandler(handler)
        handler.close()
    basicsr_logger.initialized_logger.pop('basicsr', None)


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
    kept_functions = basicsr_train.build_model, basicsr_train.create_train_val_dataloader
    build_model, create_loaders = kept_functions

    def build_watched_model(opt: dict[str, Any]) -> Any:
        model = build_model(opt)
        request.watch(model)
        for number in STOP_SIGNALS:
            signal.signal(number, request.receive)
        return model

    def create_watched_loaders(*args: Any) -> tuple:
        loaders = create_loaders(*args)
        request.sampler = loaders[1]  # it alone knows the epoch
        return loaders

    basicsr_train.build_model, basicsr_train.create_train_val_dataloader = build_watched_model, create_watched_loaders
    try:
        yield
    finally:
        basicsr_train.build_model, basicsr_train.create_train_val_dataloader = kept_functions
        for number, handler in kept_handlers.items():
            signal.signal(number, handler)


def run(command: Callable[[], None]) -> None:
    """Call ``command``; a user's mistake becomes one sentence on stderr and exit code 2."""
    try:
        command()
    except UserError as error:
        sys.stderr.write(f'{error}\n')
        raise SystemExit(2) from None


if __name__ == '__main__':
    run(main)
