"""``basicsr-snn prepare``: lays pictures out for training, as a folder or an lmdb, whole or cut into pieces."""
from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from basicsr_snn.cli.limit_argument import add_limit_argument
from basicsr_snn.errors import UserError, first_line
from basicsr_snn.images.limits import allow_megapixels

if TYPE_CHECKING:
    import numpy as np

LMDB_SUFFIX = '.lmdb'
PNG_LEVEL = 1  # BasicSR's choice for pictures that are read often: fast to unpack, a few per cent larger
COMMIT_EVERY = 100  # LmdbMaker's 5000 would hold gigabytes in memory before they are written


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``prepare``."""
    parser = subparsers.add_parser(
        'prepare', help='lay pictures out for training: a folder or an lmdb, whole or cut into pieces',
        description='Lays pictures out for training. Nothing that exists is overwritten.')
    parser.add_argument('-i', '--input', required=True, type=Path, metavar='FOLDER', help='folder of pictures')
    parser.add_argument('-o', '--output', required=True, type=Path, metavar='datasets/NAME',
                        help='new folder, or new lmdb (ends in .lmdb)')
    parser.add_argument('--recursive', action='store_true', help='take the sub-folders of FOLDER too')
    parser.add_argument('--lmdb', action='store_true', help="write an lmdb with BasicSR's maker")
    parser.add_argument('--link', action='store_true', help='link to the pictures instead of copying them')
    parser.add_argument('--crop', type=int, metavar='SIZE',
                        help='cut each picture into squares of this side; smaller pictures stay whole')
    parser.add_argument('--step', type=int, metavar='STEP',
                        help='distance between two cuts (default: SIZE, no overlap)')
    add_limit_argument(parser)
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Carry the verb out.

    Raises:
        UserError: arguments that do not fit together, no pictures, two pictures of one name, an output that exists.
    """
    from basicsr_snn.images.listing import find_pictures

    _check_arguments(args)
    allow_megapixels(args.max_megapixels)
    listing = find_pictures(args.input, args.recursive)
    left_out = listing.what_is_left_out()
    if left_out:
        sys.stderr.write(f'{left_out}\n')
    pictures = listing.pictures
    _check_names(pictures, args.lmdb)
    step = args.step or args.crop
    if args.lmdb:
        count = _whole_or_not_at_all(args.output, lambda target: _write_lmdb(pictures, target, args.crop, step))
    elif args.crop:
        count = _whole_or_not_at_all(args.output, lambda target: _write_pieces(pictures, target, args.crop, step))
    else:
        count = _whole_or_not_at_all(args.output, lambda target: _copy(pictures, target, args.link))
    sys.stdout.write(f'{count} pictures in {args.output}; in the option file: dataroot_gt: {args.output}\n')
    return 0


def _check_arguments(args: argparse.Namespace) -> None:
    output: Path = args.output
    if args.lmdb != (output.suffix == LMDB_SUFFIX):
        right = f'`--lmdb` or `-o {output.with_suffix("")}`' if not args.lmdb else f'`-o {output}{LMDB_SUFFIX}`'
        raise UserError(f'`-o {output}` {"with" if args.lmdb else "without"} `--lmdb`: an lmdb, and nothing else, ends '
                        f'in {LMDB_SUFFIX}; write {right}.')
    if args.link and (args.lmdb or args.crop):
        other = '--lmdb' if args.lmdb else '--crop'
        raise UserError(f'`--link` and `{other}` together: a link holds the whole picture as it is; leave '
                        'one of them out.')
    if args.step is not None and args.crop is None:
        raise UserError(f'`--step {args.step}` without `--crop`: it is the distance between cuts; add '
                        f'`--crop {args.step}`.')
    for option, value in (('--crop', args.crop), ('--step', args.step)):
        if value is not None and value < 1:
            raise UserError(f'`{option} {value}` given, at least 1 pixel is allowed: write `{option} 256`.')
    if os.path.lexists(output) and not (output.is_dir() and not output.is_symlink() and not any(output.iterdir())):
        raise UserError(f'{output} exists and is never overwritten: give a new name, or remove it first.')


def _check_names(pictures: Sequence[Path], for_lmdb: bool) -> None:
    """Refuse names that would fall together, or that an lmdb of BasicSR cannot hold."""
    owners: dict[str, Path] = {}
    for picture in pictures:
        other = owners.setdefault(picture.stem, picture)
        if other is not picture:
            raise UserError(f'{other} and {picture} both become {picture.stem!r}: each name is allowed once; '
                            'rename one.')
        if for_lmdb and (not picture.stem.isascii() or '.' in picture.stem):
            raise UserError(f'{picture} cannot be a key of an lmdb: BasicSR allows ASCII names without a further dot; '
                            'rename it, or leave out `--lmdb`.')


def _whole_or_not_at_all(output: Path, write: Callable[[Path], int]) -> int:
    """Let ``write`` fill a new place beside the output and move it there at the end, so that a stop leaves nothing."""
    workshop = None
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f'.{output.stem}-', dir=output.parent))
        target = workshop / output.name
        count = write(target)
        os.replace(target, output)
    except OSError as error:
        raise UserError(f'{output} cannot be made ({error}); give a place that may be written to, on a disk with '
                        'room.') from error
    finally:
        if workshop is not None:
            shutil.rmtree(workshop, ignore_errors=True)
    return count


def _copy(pictures: Sequence[Path], target: Path, link: bool) -> int:
    from tqdm import tqdm

    from basicsr_snn.images.files import picture_size

    target.mkdir()
    for picture in tqdm(pictures, unit='picture', desc='link' if link else 'copy'):
        picture_size(picture)  # refuses what no training could read
        if link:
            (target / picture.name).symlink_to(picture.resolve())
        else:
            shutil.copyfile(picture, target / picture.name)
    return len(pictures)


def _write_pieces(pictures: Sequence[Path], target: Path, crop: int, step: int) -> int:
    target.mkdir()
    written = [(target / f'{key}.png').write_bytes(_png(piece)) for key, piece in _pieces(pictures, crop, step)]
    return len(written)


def _write_lmdb(pictures: Sequence[Path], target: Path, crop: int | None, step: int | None) -> int:
    import lmdb
    from basicsr.utils.lmdb_util import LmdbMaker

    try:
        maker = LmdbMaker(str(target), _map_size(pictures, crop, step), batch=COMMIT_EVERY, compress_level=PNG_LEVEL)
        try:
            for key, piece in _pieces(pictures, crop, step):
                maker.put(_png(piece), key, piece.shape)
        finally:
            maker.close()
    except lmdb.Error as error:  # of a full disk
        raise OSError(first_line(error)) from error
    return maker.counter


def _map_size(pictures: Sequence[Path], crop: int | None, step: int | None) -> int:
    """Bytes that the lmdb can never exceed: 16-bit RGB without compression. The file takes only what it holds."""
    from basicsr_snn.images.files import picture_size

    room = 1 << 24
    for picture in pictures:
        height, width = picture_size(picture)
        corners = len(cuts(height, crop, step)) * len(cuts(width, crop, step))
        pixels = min(crop or height, height) * min(crop or width, width)
        room += corners * (pixels * 7 + 16384)
    return room


def _pieces(pictures: Sequence[Path], crop: int | None, step: int | None) -> Iterator[tuple[str, np.ndarray]]:
    """Key and pixels, (H, W, 1 or 3) uint8 or uint16, of each picture or piece, named as BasicSR does."""
    from tqdm import tqdm

    from basicsr_snn.images.files import read_bytes
    from basicsr_snn.images.reading import decode

    for picture in tqdm(pictures, unit='picture', desc='write'):
        pixels = decode(read_bytes(picture), picture)[0]
        if crop is None or step is None:
            yield picture.stem, pixels
            continue
        height, width = pixels.shape[:2]
        corners = itertools.product(cuts(height, crop, step), cuts(width, crop, step))
        for number, (top, left) in enumerate(corners, start=1):
            yield f'{picture.stem}_s{number:03d}', pixels[top:top + crop, left:left + crop]


def cuts(length: int, crop: int | None, step: int | None) -> list[int]:
    """Where the pieces along one side begin: every ``step`` pixels, and once more flush with the end if some are left.

    The rule of BasicSR's ``extract_subimages.py`` with ``thresh_size`` 0; a side shorter than ``crop`` stays whole.
    """
    if crop is None or step is None or length <= crop:
        return [0]
    starts = list(range(0, length - crop + 1, step))
    return starts if starts[-1] == length - crop else [*starts, length - crop]


def _png(pixels: np.ndarray) -> bytes:
    import cv2

    stored = pixels if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.png', stored, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])[1].tobytes()
