"""Whether this process imports the package only to be asked something, so that nothing of torch is needed yet."""
from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = 'basicsr-snn'
COMPLETION = '--print-completion'


def waits() -> bool:
    """Whether this process is the command, which first reads its arguments and option files, or TensorBoard's program,
    which imports :mod:`basicsr_snn.tensorboard_start`."""
    return _is_the_command() or _is_tensorboard()


def _is_tensorboard() -> bool:
    program = Path(sys.argv[0])
    return program.name in ('tensorboard', 'tensorboard.exe') or program.parts[-2:] == ('tensorboard', 'main.py')


def _is_the_command() -> bool:
    """A process that the command started anew, such as a data worker, has its arguments but was not called so."""
    program, given = sys.argv[0], sys.orig_argv
    if program == '-m':  # that is all that is known while the package of ``python -m`` is imported
        return given[given.index('-m') + 1:][:1] == ['basicsr_snn']
    return program in given and Path(program).name in (PROGRAM, f'{PROGRAM}.exe')
