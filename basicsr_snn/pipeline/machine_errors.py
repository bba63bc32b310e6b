"""What goes wrong with disks, memory and other processes while a pipeline runs, each told in one sentence."""
from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from basicsr_snn.compat.checkpoints import free_space
from basicsr_snn.compat.replacing import replaced
from basicsr_snn.errors import MachineError, UserError, first_line

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
OTHER_PROCESS = re.compile(r'gloo|NCCL|Connection (?:reset|closed|refused)|Broken pipe|ProcessGroup|TCPStore', re.I)
NO_MEMORY = re.compile(r"can't allocate memory|Cannot allocate memory", re.I)
GO_ON = 'go on with --auto_resume from the last checkpoint, which is kept'


@contextmanager
def errors_of_machine_in_sentences() -> Iterator[None]:
    """Context in which an error of the machine becomes a ``MachineError``, a folder that refuses a ``UserError``.

    A log that cannot be written ends the run, as a checkpoint that cannot be written does: logging by itself prints a
    traceback for each line.
    """
    try:
        with replaced('handleError', _raise_error_of_log, 'logging:FileHandler'):
            yield
    except (UserError, MachineError):
        raise
    except (OSError, MemoryError, RuntimeError) as error:
        told = _told(error)
        if told is None:
            raise
        raise told from error


def _raise_error_of_log(_handler: logging.Handler, _record: logging.LogRecord) -> None:
    raise  # what logging has caught when it calls this


def _told(error: BaseException) -> Exception | None:
    told = (_about_file(cause) if isinstance(cause, OSError) and cause.errno is not None else _about_others(cause)
            for cause in _causes(error))
    return next((sentence for sentence in told if sentence is not None), None)


def _about_file(error: OSError) -> Exception | None:
    file, reason = error.filename or 'A file of the experiment', error.strerror
    if error.errno in FULL:
        free = free_space(Path(error.filename or 'experiments'))
        return MachineError(f'{file} could not be written ({reason}; {free}): make room, then {GO_ON}.')
    if error.errno in FORBIDDEN:
        return UserError(f'{file} cannot be read or written ({reason}): start from a folder that you may write to, or '
                         'mend the permissions.')
    if error.filename is None:
        return None
    return MachineError(f'{file} could not be read or written ({reason}): see to the disk, then {GO_ON}.')


def _about_others(error: BaseException) -> Exception | None:
    message = first_line(error)
    if isinstance(error, torch.distributed.DistError) or (
            isinstance(error, RuntimeError) and OTHER_PROCESS.search(str(error))):
        return MachineError(f'Another process of this training ended or does not answer ({message}): look at what it '
                            f'printed, then {GO_ON}.')
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or NO_MEMORY.search(str(error)):
        return MachineError(f'The memory did not suffice ({message}): write a smaller batch_size_per_gpu or a larger '
                            f'train: micro_batches, then {GO_ON}.')
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what brought it about, from the last to the first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

