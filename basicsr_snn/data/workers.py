"""The worker processes of a data loader: they leave signals to the main process, and never outlive it."""
from __future__ import annotations

import copy
import ctypes
import multiprocessing
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import context
from multiprocessing.process import BaseProcess
from typing import Any

from basicsr_snn.plugins.own_modules import OwnModule, import_again, imported_modules

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
SET_PARENT_DEATH_SIGNAL = 1
"""``PR_SET_PDEATHSIG`` of Linux."""


@contextmanager
def stop_signals_held() -> Iterator[None]:
    """Context in which SIGINT and SIGTERM wait. A process that starts in it never gets them: it inherits the mask."""
    if not hasattr(signal, 'pthread_sigmask'):  # Windows knows neither masks nor signals to a group
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _OwnModules:
    """The modules that option files have named: a process that gets this imports them."""

    def __reduce__(self) -> tuple[Any, tuple[tuple[OwnModule, ...]]]:
        return import_again, (imported_modules(),)


class _Worker(BaseProcess):
    """A process that goes on when the whole process group is told to stop, for the main process still needs it.

    It ends when the main process says so, or dies.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.own_modules = _OwnModules()  # unpickled before the data set, whose class may be in one of them
        super().__init__(*args, **kwargs)

    def start(self) -> None:
        with stop_signals_held():
            super().start()

    def run(self) -> None:
        die_with_parent()
        main_process = multiprocessing.parent_process()
        if main_process is not None and main_process.is_alive():
            super().run()

    def terminate(self) -> None:
        """SIGTERM does not reach it."""
        self.kill()


class _SpawnedWorker(_Worker, context.SpawnProcess):
    pass


_WORKERS: dict[str, type[_Worker]] = {'spawn': _SpawnedWorker}
if sys.platform != 'win32':
    class _ForkedWorker(_Worker, context.ForkProcess):
        pass

    class _ServedWorker(_Worker, context.ForkServerProcess):
        pass

    _WORKERS |= {'fork': _ForkedWorker, 'forkserver': _ServedWorker}


def worker_context(beside_process_group: bool) -> context.BaseContext:
    """How the workers of a loader start.

    Args:
        beside_process_group: No fork survives a process group, and BasicSR spawns workers: each then imports torch and
            this package by itself, at the start and, unless ``persistent_workers`` is set, at every epoch. They are
            forked instead from a server that has imported us, where the system can.
    """
    method = multiprocessing.get_start_method()
    if beside_process_group and 'forkserver' in multiprocessing.get_all_start_methods():
        method = 'forkserver'
    chosen: Any = copy.copy(multiprocessing.get_context(method))
    chosen.Process = _WORKERS[method]
    if method == 'forkserver':
        chosen.set_forkserver_preload(['basicsr_snn', 'basicsr_snn.data.worker_server'])
    return chosen


def end_workers() -> None:
    """Kill the workers that are still there, frozen ones too, so that the end of this process waits for none."""
    for child in multiprocessing.active_children():
        if isinstance(child, _Worker):
            child.kill()
            child.join()


def die_with_parent() -> None:
    """Let the system kill this process with its parent: frozen, it would not notice by itself."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
