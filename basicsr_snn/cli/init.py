"""``basicsr-snn init``: lays out the option files and the demo pictures where the user wants to work."""
from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from basicsr_snn.errors import UserError
from basicsr_snn.installation import FIRST_OPTIONS, shared_files

LAID_OUT = ('options', 'datasets/demo', 'datasets/README.md')
"""What is laid out, as named both in the repository and in the folder that the user gives."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``init``."""
    parser = subparsers.add_parser(
        'init', help='lay out the option files and the demo pictures in a folder',
        description='Copies the option files (options/) and the demo pictures (datasets/demo/) into a folder to work '
                    'in. A file that exists there and differs is overwritten with --force only.')
    parser.add_argument('folder', type=Path, metavar='DIR', help='folder to work in, made if it is not there')
    parser.add_argument('--force', action='store_true', help='replace files that differ from those that ship, also '
                        'where a link in DIR leads out of it')
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Carry the verb out.

    Raises:
        UserError: The folder cannot be written to, or holds other files of the same names and ``--force`` is not given.
    """
    names = lay_out(args.folder, args.force)
    options = sum(name.suffix == '.yml' for name in names)
    sys.stdout.write(f'{options} option files and {len(names) - options} files of demo pictures are in {args.folder}; '
                     f'next: cd {args.folder} && basicsr-snn train -opt {FIRST_OPTIONS}\n')
    return 0


def lay_out(folder: Path, force: bool = False) -> list[Path]:
    """Copy all files that ship beside the package into a folder.

    Args:
        folder: Made if it is not there.
        force: Whether files that are there and differ are replaced, and links followed.

    Returns:
        The names of the files, seen from ``folder``.

    Raises:
        UserError: as :func:`run`; nothing was written then, unless the disk gave out.
    """
    source = shared_files()
    names = _names_in(source)
    if not force:
        _refuse_links(folder)
    try:
        differing = [name for name in names if _differs(source / name, folder / name)]
        if not force:
            _refuse_to_overwrite(folder, differing)
        for name in names:
            if name in differing or not (folder / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, folder / name)
    except OSError as error:
        raise UserError(f'{folder} cannot be filled ({error}); give a folder that may be written to, on a disk with '
                        'room.') from error
    return names


def _refuse_links(folder: Path) -> None:
    """Data sets are often a link to a disk of pictures, which others share."""
    for name in dict.fromkeys(Path(name).parts[0] for name in LAID_OUT):
        if (folder / name).is_symlink():
            raise UserError(f'{folder / name} is a link to {(folder / name).resolve()}, where files would be laid out; '
                            'nothing was written: type --force to do so, or give another folder.')


def _names_in(source: Path) -> list[Path]:
    found: list[Path] = []
    for name in LAID_OUT:
        place = source / name
        found += [place] if place.is_file() else sorted(file for file in place.rglob('*') if file.is_file())
    return [file.relative_to(source) for file in found]


def _differs(source: Path, target: Path) -> bool:
    return target.exists() and (target.is_dir() or source.read_bytes() != target.read_bytes())


def _refuse_to_overwrite(folder: Path, names: Sequence[Path]) -> None:
    if names:
        more = f' (and {len(names) - 1} more)' if len(names) > 1 else ''
        raise UserError(f'{folder / names[0]}{more} exists and is not what ships; nothing was written: type --force to '
                        'replace it, or give another folder.')
