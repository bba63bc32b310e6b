"""Arguments of ``basicsr-snn denoise`` on pictures, files and tiles, and what each may be."""
from __future__ import annotations

import argparse
import math
from pathlib import Path

from basicsr_snn.cli.limit_argument import add_limit_argument
from basicsr_snn.inference.defaults import (
    AUTO_LEVEL,
    AUTO_STRENGTH,
    AUTO_TILE,
    AUTO_TILE_ABOVE,
    LEAST_TILE,
    STRONGEST,
    TILE_PAD,
    VIEWS,
)

DEVICES = ('cpu', 'cuda')


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which pictures are read, and where the results go."""
    parser.add_argument('-i', '--input', required=True, nargs='+', action='extend', type=Path,
                        metavar='FILE_OR_DIR', help="pictures, folders, and patterns such as 'photos/**/*.jpg'")
    parser.add_argument('-o', '--output', required=True, type=Path, metavar='DIR',
                        help='folder for the results; for one picture also the file')
    parser.add_argument('--suffix', default='', help='results are called NAME_SUFFIX')
    parser.add_argument('--ext', default='auto', help="extension of the results (default: auto, the input's own)")
    parser.add_argument('--bits', type=int, choices=(8, 16),
                        help="bits a channel of the results (default: the input's)")
    parser.add_argument('--quality', type=_quality, metavar='Q',
                        help='1 to 100, for JPEG, WebP, AVIF and HEIC (default: a JPEG of a JPEG has its tables of '
                             'quantisation, but with --task jpeg, and other JPEGs, 95; WebP is lossless, AVIF and HEIC '
                             'have 90)')
    parser.add_argument('--recursive', action='store_true', help='take sub-folders too, and keep them')
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument('--skip-existing', action='store_true', help='leave out pictures whose results exist')
    existing.add_argument('--overwrite', action='store_true',
                          help='replace results that exist (default: ask at a terminal, else refuse before any work)')


def add_restoring_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says how a picture is restored."""
    parser.add_argument('--strength', type=_strength, default=AUTO_STRENGTH, metavar='S',
                        help='how much of the change is made, 0 (none) to 2 (twice) (default: auto, which is 1, but '
                             'for the noise of cameras as much as there is noise)')
    parser.add_argument('-t', '--tile', type=_tile, metavar='TILE',
                        help=f'side of a tile in pixels, {LEAST_TILE} or more; 0: never tile (default: {AUTO_TILE} for '
                             f'pictures above {AUTO_TILE_ABOVE / 1e6:g} megapixels)')
    parser.add_argument('--tile_pad', type=_pixels, metavar='P',
                        help='overlap at each side of a tile (default: as far as the network looks, which leaves no '
                             f'seam; {TILE_PAD} where that is not known)')
    parser.add_argument('--views', type=int, default=1, choices=VIEWS,
                        help='restore so many flips and turns of a picture and take their mean: about 0.1 dB better, '
                             'for that many times the work (default: 1)')
    parser.add_argument('--device', choices=DEVICES, help='where the network runs (default: cuda where there is one)')


def add_trial_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what makes a trial of it: noise, scores, a report."""
    parser.add_argument('--noise', type=noise_level, metavar='SIGMA',
                        help='add Gaussian noise first, standard deviation on the 0..255 scale')
    parser.add_argument('--seed', type=int, default=0, help='seed of that noise, anew for each picture (default: 0)')
    parser.add_argument('--gt', action='store_true', help='with --noise: score the results against the clean input')
    parser.add_argument('--json', action='store_true', help='for programs: one JSON object on stdout')
    add_limit_argument(parser)


def _pixels(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is no number of pixels; write a whole number, 0 or more')
    return int(text)


def _tile(text: str) -> int:
    side = _pixels(text)
    if 0 < side < LEAST_TILE:
        raise argparse.ArgumentTypeError(f'a tile of {side} pixels would be nearly all overlap; write {LEAST_TILE} or '
                                         f'more, for example {AUTO_TILE}, or 0 to restore pictures whole')
    return side


def _quality(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f'{text!r} is no quality; write a whole number from 1 to 100')
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _strength(text: str) -> float | str:
    if text == AUTO_STRENGTH:
        return AUTO_STRENGTH
    strength = _number(text)
    if not 0 <= strength <= STRONGEST:
        raise argparse.ArgumentTypeError(f'{text!r} is no strength; write a number from 0 (no change) to '
                                         f'{STRONGEST:g}, for example 0.7')
    return strength


def noise_level(text: str) -> float:
    """A level of ``--noise`` or ``--sigma``."""
    level = _number(text)
    if not 0 <= level <= 255:
        raise argparse.ArgumentTypeError(f'{text!r} is no noise level; write a number from 0 to 255, for example 25')
    return level


def noise_level_or_auto(text: str) -> float | str:
    """A level of ``--sigma``, or ``auto``."""
    return AUTO_LEVEL if text == AUTO_LEVEL else noise_level(text)
