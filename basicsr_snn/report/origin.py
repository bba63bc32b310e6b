"""Where a page comes from: the command that made it, the day, and the licences of what it shows."""
from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NOT_STATED = 'not stated'
LICENCE_FILES = ('LICEN[CS]E*', 'licen[cs]e*', 'COPYING*')


@dataclass(frozen=True)
class Origin:
    """Where a page comes from.

    Attributes:
        command: What was typed.
        date: The day, as 2026-01-31.
        weights: Licence of the weights.
        pictures: Name of each set of pictures, and where its licence is.
    """

    command: str
    date: str
    weights: str
    pictures: tuple[tuple[str, str], ...]


def origin_of(command: str, weights: str | None, folders: Sequence[tuple[str, Path | None]]) -> Origin:
    """The origin of a page that is made now.

    Args:
        command: What was typed.
        weights: Licence of the weights, where it is known.
        folders: Name of each set of pictures, and where they lie; None: it does not say.
    """
    pictures = tuple((name, licence_beside(folder)) for name, folder in folders)
    return Origin(command, datetime.date.today().isoformat(), weights or NOT_STATED, pictures)


def licence_beside(folder: Path | None) -> str:
    """The file beside pictures, or one folder above, that tells their licence, in words."""
    for place in (folder, folder.resolve().parent) if folder is not None and folder.is_dir() else ():
        found = sorted(file for pattern in LICENCE_FILES for file in place.glob(pattern) if file.is_file())
        if found:
            return f'as {found[0].name} beside them says'
    return f'{NOT_STATED} beside them'
