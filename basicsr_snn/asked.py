"""Whether this process asks so little of the package that nothing of torch is needed."""
from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = 'basicsr-snn'
COMPLETION = '--print-completion'
QUESTIONS = ('-h', '--help', '--version', COMPLETION)
"""Arguments after which the command prints something and ends, whatever else it is given."""


def only_about_itself() -> bool:
    """Whether this process is the command and has one of these arguments, or is TensorBoard's program, which imports
    :mod:`basicsr_snn.tensorboard_start`: then nothing of torch is needed."""
    asked = any(argument.partition('=')[0] in QUESTIONS for argument in sys.argv[1:])
    return asked and _is_the_command() or _is_tensorboard()


def _is_tensorboard() -> bool:
    program = Path(sys.argv[0])
    return program.name in ('tensorboard', 'tensorboard.exe') or program.parts[-2:] == ('tensorboard', 'main.py')


def _is_the_command() -> bool:
    program = sys.argv[0]
    if program == '-m':  # that is all that is known while the package of ``python -m`` is imported
        given = sys.orig_argv
        return given[given.index('-m') + 1:][:1] == ['basicsr_snn']
    return Path(program).name in (PROGRAM, f'{PROGRAM}.exe')
