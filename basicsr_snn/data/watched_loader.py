"""A data loader whose errors say in one sentence which picture, which worker or which resource it was."""
from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2
from torch.utils.data import DataLoader

from basicsr_snn.errors import DataError, UserError, WorkerError

LOOK_EVERY_S = 5
"""Seconds from one look at the workers to the next: do they work?"""
FROZEN_AFTER_S = 60
"""Seconds of waiting for one batch in which all workers together used hardly any processor time: they are frozen."""
HARDLY_ANY_S = 0.05
MORE = ('give the machine or container more of it (docker run --shm-size=2g), or write num_worker_per_gpu: 0 or a '
        'smaller batch_size_per_gpu')
SHARED_MEMORY = Path('/dev/shm')
NO_SHARED_MEMORY = re.compile(r'allocate shared memory\(shm\)|</torch_\w+>|/dev/shm')
NO_MEMORY = re.compile(r"can't allocate memory|Cannot allocate memory|not enough memory|out of memory", re.IGNORECASE)


def watch_loader(loader: DataLoader) -> None:
    """Make the iterators of ``loader`` :class:`WatchedIterator`."""
    begin = loader._get_iterator

    def begin_watched() -> WatchedIterator:
        with errors_in_sentences(), dead_workers_told_on_waiting():
            return WatchedIterator(loader, begin())

    loader._get_iterator = begin_watched  # type: ignore[method-assign, assignment]


class WatchedIterator:
    """The batches of a loader.

    Raises:
        DataError: A picture cannot be read or used.
        WorkerError: A worker process died or froze, or its memory ran out.
    """

    def __init__(self, loader: DataLoader, batches: Any) -> None:
        self.batches = batches
        self.workers: list[BaseProcess] = batches._workers if loader.num_workers else []
        self.asked = self.received = 0
        self.frozen = ''
        if self.workers:
            threading.Thread(target=_kill_frozen_workers, args=(weakref.ref(self),), daemon=True).start()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.asked += 1
        try:
            with errors_in_sentences(self.workers):
                return next(self.batches)
        except Exception as error:
            if self.frozen:
                raise WorkerError(self.frozen) from error
            raise
        finally:
            self.received = self.asked

    def _reset(self, loader: DataLoader, first_iter: bool = False) -> None:
        """Called by loaders with persistent workers in place of a new iterator."""
        with errors_in_sentences(self.workers):
            self.batches._reset(loader, first_iter)


def _kill_frozen_workers(watched: weakref.ref[WatchedIterator]) -> None:
    """A thread beside the one that waits: that may do so in the middle of a message, where it has no time-out."""
    batch, used, idle = 0, 0.0, 0.0
    while (iterator := watched()) is not None:
        now = processor_seconds(iterator.workers)
        waiting = iterator.asked if iterator.asked != iterator.received else 0
        goes_on = not waiting or waiting != batch or now - used > HARDLY_ANY_S
        lost = any(worker.exitcode is not None for worker in iterator.workers)  # the one that waits will notice
        idle = 0.0 if goes_on or lost else idle + LOOK_EVERY_S
        batch, used = waiting, now if goes_on else used
        if idle >= FROZEN_AFTER_S:
            pids = ', '.join(str(worker.pid) for worker in iterator.workers)
            iterator.frozen = (f'The data workers (pid {pids}) did not work for {FROZEN_AFTER_S} s while a batch was '
                               'waited for: they were stopped, or wait for a disk or a network that does not answer.')
            for worker in iterator.workers:
                worker.kill()
            return
        del iterator  # else it would live as long as this thread
        time.sleep(LOOK_EVERY_S)


@contextmanager
def dead_workers_told_on_waiting() -> Iterator[None]:
    """Keep torch from raising an error at the moment in which a worker dies, which may be in the middle of a step."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, 'SIGCHLD'):
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


@contextmanager
def errors_in_sentences(workers: Sequence[BaseProcess] = ()) -> Iterator[None]:
    """Context in which what goes wrong with pictures and workers becomes one sentence, for what needs no traceback."""
    try:
        yield
    except WorkerError:
        raise
    except (MemoryError, UserError, OSError, EOFError, ValueError, RuntimeError, cv2.error) as error:
        lack = what_lacked(error, workers)
        if lack is not None:
            raise WorkerError(lack) from error
        if isinstance(error, RuntimeError):
            raise
        raise DataError(own_words(error)) from error


def own_words(error: Exception) -> str:
    """What an error says, without the traceback that torch adds to one that comes from a worker."""
    message = str(error)
    name = type(error).__qualname__
    if isinstance(error, UserError):
        return re.split(rf'\n(?:\w+\.)*{name}: ', message)[-1].strip()
    last = message.strip().splitlines()[-1] if message.strip() else name
    return f'A picture could not be read ({last if last.startswith(name) else f"{name}: {last}"}); mend or remove it.'


def what_lacked(error: Exception, workers: Sequence[BaseProcess] = ()) -> str | None:
    """One sentence on the worker or the resource that an error is about; None where it is about something else."""
    message = str(error)
    if NO_SHARED_MEMORY.search(message):
        return (f'{_shared_memory()} is too small for the batches that data workers hand over ({own_cause(error)}): '
                f'{MORE}.')
    if isinstance(error, MemoryError) or NO_MEMORY.search(message):
        return (f'The memory did not suffice to read the next batch ({own_cause(error)}): write a smaller '
                'num_worker_per_gpu or batch_size_per_gpu, or `cache: false`.')
    if 'Too many open files' in message:
        return 'Data workers hold too many open files: type `ulimit -n 65536` first, or write num_worker_per_gpu: 1.'
    connection_lost = isinstance(error, ConnectionError | EOFError) and not message.startswith('Caught ')
    if connection_lost or isinstance(error, RuntimeError) and message.startswith('DataLoader worker (pid'):
        return _death_of(workers)
    return None


def own_cause(error: Exception) -> str:
    """The last line of an error: the first of one from a worker only says that it is from there."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1][:160]


def _death_of(workers: Sequence[BaseProcess]) -> str:
    for worker in workers:
        worker.join(timeout=0.1)  # one that was just lost may not have ended yet
    dead = [worker for worker in workers if worker.exitcode is not None]
    codes = {worker.exitcode or 0 for worker in dead}
    pids = ', '.join(str(worker.pid) for worker in dead)
    how = ', '.join(signal.Signals(-code).name if code < 0 else f'exit code {code}' for code in sorted(codes))
    sentence = f'A data worker (pid {pids or "unknown"}) died ({how or "no exit code"})'
    if -getattr(signal, 'SIGBUS', 0) in codes:
        return (f'{sentence}: either {_shared_memory()} is too small for the batches that workers hand over, or an '
                f'lmdb was cut while it was read; {MORE}, or make the lmdb anew.')
    if -getattr(signal, 'SIGKILL', 0) in codes:
        return (f'{sentence}: somebody killed it, most often the system for want of memory; write a smaller '
                'num_worker_per_gpu or batch_size_per_gpu.')
    return f'{sentence} while it read pictures; write num_worker_per_gpu: 0 to see its error.'


def _shared_memory() -> str:
    if not SHARED_MEMORY.is_dir():
        return 'the shared memory'
    usage = shutil.disk_usage(SHARED_MEMORY)
    return f'{SHARED_MEMORY} ({usage.total / 1e6:,.0f} MB, {usage.free / 1e6:,.0f} MB of them free)'


def processor_seconds(processes: Sequence[BaseProcess]) -> float:
    """Processor time that processes used so far; where the system does not tell, the time that has passed."""
    ticks = 0
    for process in processes:
        try:
            fields = Path(f'/proc/{process.pid}/stat').read_text().rpartition(')')[2].split()
        except FileNotFoundError:
            return time.monotonic()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf('SC_CLK_TCK')
