"""The command ``basicsr-snn``: finds the verb, runs it, and turns a user's mistake into one sentence."""
from __future__ import annotations

import argparse
import importlib
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from basicsr_snn.asked import PROGRAM
from basicsr_snn.cli.completion import add_completion_argument
from basicsr_snn.errors import MachineError, UserError, near_matches
from basicsr_snn.registered import register
from basicsr_snn.version import __version__
from basicsr_snn.yaml_files import read_yaml_file

VERBS = ('train', 'test', 'restore', 'denoise', 'bench', 'report', 'export', 'list', 'init', 'prepare', 'check',
         'start')
"""Each is a module of this package with ``add_parser(subparsers)`` and ``run(args) -> int``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments after the program's name; ``None``: the command line.

    Returns:
        Exit status: 0 good, 1 some pictures or networks failed, or the machine (a full disk, a lost process: one
        sentence on stderr), 2 the user's mistake (the same).
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parsed(argv)
        _require_option_files(args)
        register()
        return _verb(args.verb).run(args)
    except (UserError, MachineError) as error:
        sys.stderr.write(f'{PROGRAM}: {error}\n')
        return error.exit_status
    except KeyboardInterrupt:
        sys.stderr.write(f'{PROGRAM}: stopped.\n')
        return 128 + signal.SIGINT


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are user errors, without the usage lines."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{'allow_abbrev': False, **options})

    def error(self, message: str) -> NoReturn:
        raise UserError(f'{message}; all options: {self.prog} --help.')


def _parser(argv: Sequence[str]) -> _Parser:
    parser = _Parser(prog=PROGRAM, description='Spiking image restoration for BasicSR: train, test and run networks.')
    parser.add_argument('--version', action='version', version=f'{PROGRAM} {__version__}')
    add_completion_argument(parser)
    subparsers = parser.add_subparsers(dest='verb', metavar='VERB', required=True)
    for verb in _verbs_to_parse(argv):
        _verb(verb).add_parser(subparsers)
    return parser


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of a verb; those that it does not know are refused with its own help, not that of all verbs."""
    args, unknown = _parser(argv).parse_known_args(argv)
    if unknown:
        raise UserError(f'unrecognized arguments: {" ".join(unknown)}; all options: {PROGRAM} {args.verb} --help.')
    args.command = shlex.join([PROGRAM, *argv])
    return args


def _verbs_to_parse(argv: Sequence[str]) -> Sequence[str]:
    """The verb that is given, or all where the help of all is wanted: no other verb's modules are then imported."""
    if not argv or argv[0].startswith('-'):
        return VERBS
    if argv[0] not in VERBS:
        raise UserError(f'there is no verb "{argv[0]}"; did you mean {" or ".join(near_matches(argv[0], VERBS))}? '
                        f'All verbs: {", ".join(VERBS)}.')
    return argv[:1]


def _verb(name: str) -> Any:
    return importlib.import_module(f'basicsr_snn.cli.{name}')


def _require_option_files(args: argparse.Namespace) -> None:
    given = getattr(args, 'opt', None) or []
    for path in map(Path, [given] if isinstance(given, str | Path) else given):
        if path.is_file():
            read_yaml_file(path)  # what is no plain YAML is refused before torch is imported
            continue
        near = near_matches(path.name, sorted(file.name for file in path.parent.glob('*.yml')))
        instead = (f'did you mean {" or ".join(near)} in {path.parent}?' if near else
                   f'{path.parent} holds no .yml file; correct the path.')
        raise UserError(f'option file {path} does not exist (seen from {Path.cwd()}); {instead}')
