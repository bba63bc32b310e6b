"""One run of a name at a time: a second one is refused for as long as the first lives."""
from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from basicsr_snn.compat.distributed import on_first_process
from basicsr_snn.errors import UserError

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""What file systems say that know no locks."""

PATIENCE = 2.0
"""Seconds in which the holder of a lock must have written who it is."""

_held: set[int] = set()


def _let_go_in_child() -> None:
    """A data worker would keep the lock of a killed training for as long as it outlives that."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go_in_child)

Parser = Callable[[str, bool], tuple[dict[str, Any], Any]]


@contextmanager
def one_run_of_a_name(parse: Parser) -> Iterator[Parser]:
    """Context of one run: yields ``parse``, which then also locks the folder of the options' name until the end.

    The lock is the kernel's (flock) on ``experiments/.<name>.lock``, or ``results/.<name>.lock`` of a test: it ends
    with the process, however that ends. Of several processes the first holds it for all. Its parser raises a
    ``UserError`` with the process and host of another run.
    """
    locks: list[tuple[int, Path]] = []

    def parse_and_lock(root_path: str, is_train: bool) -> tuple[dict[str, Any], Any]:
        options, arguments = parse(root_path, is_train)
        folder = Path(options['path']['experiments_root' if is_train else 'results_root'])
        for place in _places(folder):
            if lock := on_first_process(options, partial(_lock, place)):
                locks.append((lock, _lock_file(place)))
        return options, arguments

    try:
        yield parse_and_lock
    finally:
        for descriptor, file in locks:
            if descriptor in _held:  # on the process that locked, and on no other
                file.unlink(missing_ok=True)
                _held.remove(descriptor)
                os.close(descriptor)


def _places(folder: Path) -> list[Path]:
    """The folder by its name and, where that is a link, by what it links to, which other names may link to as well."""
    return list(dict.fromkeys((folder.parent.resolve() / folder.name, folder.resolve())))


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f'.{folder.name}.lock')


def _lock(folder: Path) -> int | None:
    """Lock a folder's name; the descriptor that holds the lock, or None where the file system knows no locks."""
    file = _lock_file(folder)
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise UserError(f'{folder.parent.name}/{folder.name} belongs to a run that goes on ({holder}), and two of '
                            'one name would overwrite each other; wait for its end, stop it, or write another '
                            'name: in this option file.') from None
        except OSError as error:
            os.close(descriptor)
            if error.errno in WITHOUT_LOCKS:
                return None
            raise
        if _is_at(descriptor, file):  # else its last holder has just removed it
            break
        os.close(descriptor)
    os.truncate(descriptor, 0)
    os.write(descriptor, f'process {os.getpid()} on {socket.gethostname()}'.encode())
    _held.add(descriptor)
    return descriptor


def _is_at(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    end = time.monotonic() + PATIENCE
    while True:
        told = os.pread(descriptor, 200, 0).decode(errors='replace')
        if told or time.monotonic() > end:
            return told or 'another process'
        time.sleep(0.01)
