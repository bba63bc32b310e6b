"""``basicsr-snn --print-completion``: what makes the Tab key complete verbs, options and files, written by shtab."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from basicsr_snn.asked import COMPLETION
from basicsr_snn.errors import UserError

SHELLS = ('bash', 'zsh', 'tcsh')


class _PrintCompletion(argparse.Action):
    """Prints the script for a shell, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: str | Sequence[Any] | None, option_string: str | None = None) -> None:
        try:
            import shtab
        except ImportError as error:
            raise UserError(f'{COMPLETION} needs the package shtab, which is not installed; type '
                            '`pip install shtab`.') from error
        for action in _actions(parser):
            if action.type is Path or action.metavar in ('X.yml', 'F'):
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab looks for it
        sys.stdout.write(shtab.complete(parser, shell=str(values)) + '\n')
        parser.exit()


def add_completion_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--print-completion``."""
    parser.add_argument(COMPLETION, choices=SHELLS, action=_PrintCompletion, metavar='SHELL', default=argparse.SUPPRESS,
                        help=f'print the script that completes commands in a shell, {" or ".join(SHELLS)}, and exit')


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All arguments, those of the verbs too."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from _actions(verb)
