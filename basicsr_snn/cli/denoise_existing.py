"""What ``basicsr-snn denoise`` does about results that exist: it asks at a terminal, and refuses elsewhere."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from basicsr_snn.errors import UserError

QUESTION = '[o]verwrite, [s]kip or [q]uit? '


def are_skipped(existing: Sequence[Path], total: int, args: argparse.Namespace) -> bool:
    """Whether pictures whose results exist are left out; else these are replaced.

    Args:
        existing: Results that exist.
        total: Of how many.
        args: The command's arguments.

    Raises:
        UserError: Nothing says what to do with them.
    """
    if not existing or args.overwrite or args.skip_existing:
        return args.skip_existing
    where, them, told = _in_words(existing, total, args.output)
    answer = _answer(f'{told}. {QUESTION}') if _somebody_is_there(args) else ''
    if answer not in ('o', 's'):
        raise UserError(f'{told}; add --overwrite to replace {them}, --skip-existing to keep {them}, or choose another '
                        f'{where} with -o.')
    return answer == 's'


def _in_words(existing: Sequence[Path], total: int, output: Path) -> tuple[str, str, str]:
    if len(existing) == 1 and total == 1:
        return 'name' if existing[0] == output else 'folder', 'it', f'{existing[0]} exists'
    verb = 'exists' if len(existing) == 1 else 'exist'
    return 'folder', 'it' if len(existing) == 1 else 'them', (
        f'{len(existing)} of {total} results {verb} in {output}, such as {existing[0].name}')


def _somebody_is_there(args: argparse.Namespace) -> bool:
    return not args.json and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _answer(question: str) -> str:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower()[:1]  # nothing, at the end of the input, is no answer
