"""The picture files of a folder, and what is left out of it and why."""
from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from basicsr_snn.errors import UserError
from basicsr_snn.images.files import EXTENSIONS

NAMED = 20
"""So many of what is left out are named; the rest is counted."""


@dataclass(frozen=True)
class Listing:
    """What was found in a folder.

    Attributes:
        folder: The folder.
        pictures: The picture files, sorted by their path.
        left_out: Everything else, sorted, each with the reason.
    """

    folder: Path
    pictures: list[Path] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)

    def without(self, below: Path) -> Listing:
        """The same without what lies in a folder of results."""
        below = real_path(below)

        def outside(path: Path) -> bool:
            real = real_path(path)
            return below != real and below not in real.parents

        return Listing(self.folder, [path for path in self.pictures if outside(path)],
                       [(path, reason) for path, reason in self.left_out if outside(path)])

    def what_is_left_out(self) -> str | None:
        """One sentence that counts and names what is left out; None: nothing is."""
        if not self.left_out:
            return None
        named = [f'{path.relative_to(self.folder).as_posix()} ({reason})' for path, reason in self.left_out[:NAMED]]
        more = len(self.left_out) - len(named)
        return (f'{len(self.left_out)} {"entries" if len(self.left_out) > 1 else "entry"} of {self.folder} left out: '
                f'{", ".join(named)}{f" and {more} more" if more else ""}.')


def real_path(path: Path) -> Path:
    """Where a path leads; unlike ``Path.resolve`` also where a link leads to itself."""
    return Path(os.path.realpath(path))


def list_pictures(folder: str | Path, recursive: bool = False) -> list[Path]:
    """The picture files of a folder, sorted by their path; see :func:`find_pictures`."""
    return find_pictures(folder, recursive).pictures


def find_pictures(folder: str | Path, recursive: bool = False) -> Listing:
    """The picture files of a folder.

    Links to files and, with ``recursive``, to folders are followed, but no folder is read twice, so that a link to a
    folder above ends nowhere. Hidden files and folders are left out.

    Raises:
        UserError: the folder is missing, is a file, or holds no picture.
    """
    folder = Path(folder)
    if not folder.exists():
        raise UserError(f'the folder {folder} does not exist (seen from {Path.cwd()}): give one that holds pictures.')
    if not folder.is_dir():
        raise UserError(f'{folder} is a file where a folder of pictures was asked for: give {folder.parent}.')
    found = _walked(folder, recursive)
    if not found.pictures:
        raise UserError(f'no pictures in {folder}: known extensions are {" ".join(EXTENSIONS)}; '
                        f'{_way_out(folder, recursive)}. {found.what_is_left_out() or ""}'.rstrip())
    return found


def _walked(folder: Path, recursive: bool) -> Listing:
    """Everything below ``folder``: real folders first, then linked ones, so that the real path of a folder counts."""
    found = Listing(folder)
    real, linked = deque([folder]), deque[Path]()
    read: set[tuple[int, int]] = set()
    while real or linked:
        current = real.popleft() if real else linked.popleft()
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in read:
                found.left_out.append((current, 'a link to a folder that is read already'))
                continue
            read.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError as error:
            found.left_out.append((current, f'cannot be read: {error.strerror}'))
            continue
        for entry in entries:
            path = current / entry.name
            reason = _why_left_out(entry, recursive)
            if reason:
                found.left_out.append((path, reason))
            elif not entry.is_dir():
                found.pictures.append(path)
            else:
                (linked if entry.is_symlink() else real).append(path)
    found.pictures.sort(key=lambda path: path.relative_to(folder).as_posix())
    found.left_out.sort()
    return found


def _why_left_out(entry: os.DirEntry, recursive: bool) -> str | None:
    """Why an entry is neither a picture nor a folder to go into; None: it is one of them."""
    if entry.name.startswith('.'):
        return 'hidden'
    try:
        entry.stat()
    except OSError as error:
        return f'a link to nothing: {error.strerror}' if entry.is_symlink() else f'cannot be read: {error.strerror}'
    if entry.is_dir():
        return None if recursive else 'a folder'
    if not entry.is_file():
        return 'no plain file'
    if Path(entry.name).suffix.lower() not in EXTENSIONS:
        return 'no extension of a picture'
    return None


def _way_out(folder: Path, recursive: bool) -> str:
    deeper = [] if recursive else _walked(folder, recursive=True).pictures
    if not deeper:
        return 'put some there or give another folder'
    return (f'there are some in its sub-folder: give {deeper[0].parent}, or ask for sub-folders too (`recursive`)')
