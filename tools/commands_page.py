"""docs/reference/commands.md, written from the parsers of the commands: ``python tools/commands_page.py``."""
from __future__ import annotations

import argparse
import importlib
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from basicsr_snn.cli.main import PROGRAM, VERBS

PAGE = Path(__file__).resolve().parent.parent / 'docs' / 'reference' / 'commands.md'
WIDTH = 120
INTRODUCTION = f"""# Commands

Written from the commands' own help by `python tools/commands_page.py`; `{PROGRAM} VERB --help` prints the same.

Exit status: 0 good, 1 some pictures or networks failed, 2 a mistake of yours, which is explained in one sentence.

Under `torchrun`, training and testing are `python -m basicsr_snn.train` and `python -m basicsr_snn.test`, with the same
arguments as `{PROGRAM} train` and `{PROGRAM} test`.
"""


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each verb, by its name."""
    verbs = argparse.ArgumentParser(prog=PROGRAM).add_subparsers()
    for verb in VERBS:
        importlib.import_module(f'basicsr_snn.cli.{verb}').add_parser(verbs)
    return dict(verbs.choices)


def page() -> str:
    """The whole page as Markdown."""
    return '\n'.join([INTRODUCTION, *(_section(verb, parser) for verb, parser in parsers().items())])


def _section(verb: str, parser: argparse.ArgumentParser) -> str:
    rows = ''.join(f'| {names} | {meaning} |\n' for names, meaning in _arguments(parser))
    about = textwrap.fill(parser.description or '', WIDTH)
    return f'## {verb}\n\n{about}\n\n| argument | meaning |\n| --- | --- |\n{rows}'


def _arguments(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Name and meaning of each argument but ``--help``, required ones first, as cells of a table."""
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    for action in sorted(actions, key=lambda action: not action.required):
        meaning = (action.help or '') % {**vars(action), 'prog': parser.prog}
        yield _names(action), _cell(meaning + ('; required' if action.required else ''))


def _names(action: argparse.Action) -> str:
    """What is typed: ``-i DIR``, ``--input DIR``; ``DIR`` for an argument without a name."""
    value = '' if action.nargs == 0 else _value(action)
    return ', '.join(f'`{f"{name} {value}".strip()}`' for name in action.option_strings or [''])


def _value(action: argparse.Action) -> str:
    """What stands for the value in the help: ``X.yml``, ``none,pytorch,slurm``, ``NAME ...``."""
    name = action.metavar or (','.join(map(str, action.choices)) if action.choices else action.dest.upper())
    return f'{name} ...' if action.nargs == '+' else str(name)


def _cell(text: str) -> str:
    """Text that neither ends a cell nor is read as HTML or emphasis."""
    return re.sub(r'([|<*])', r'\\\1', text)


if __name__ == '__main__':
    PAGE.write_text(page(), encoding='utf-8')
