"""Arguments of commands that run on the pictures of an option file, or on a folder of clean ones with seeded noise."""
from __future__ import annotations

import argparse
from pathlib import Path

from basicsr_snn.cli.limit_argument import add_limit_argument
from basicsr_snn.errors import UserError
from basicsr_snn.images.limits import allow_megapixels


def add_picture_arguments(parser: argparse.ArgumentParser, option_file: str, sets_note: str = '') -> None:
    """Add ``--sets``, ``-i``, ``--noise`` and ``--pictures``; ``option_file`` says whose datasets are meant."""
    parser.add_argument('--sets', nargs='+', default=[], metavar='NAME',
                        help=f'datasets of {option_file} to run on{sets_note} (default: its first test or validation '
                             'dataset)')
    parser.add_argument('-i', '--input', type=Path, metavar='DIR',
                        help='run on this folder of clean pictures instead, with --noise')
    parser.add_argument('--noise', type=float, metavar='SIGMA',
                        help='with -i: standard deviation of the seeded noise, 0..255 scale')
    parser.add_argument('--pictures', type=int, metavar='N', help='only the first N pictures of each dataset')
    add_limit_argument(parser)


def check_picture_arguments(args: argparse.Namespace, option_file: str) -> None:
    """Refuse arguments that do not fit together, and allow pictures as large as they say.

    Raises:
        UserError: No pictures, ``-i`` without ``--noise`` or the reverse or with ``--sets``, a number out of range.
    """
    if args.input is None and not args.opt:
        raise UserError('no pictures were given; add -i FOLDER --noise 25, or an option file with a test dataset.')
    if (args.input is None) != (args.noise is None):
        raise UserError('-i and --noise go together; write -i FOLDER --noise 25, or leave both out to run on the '
                        f'dataset of {option_file}.')
    if args.noise is not None and not 0 <= args.noise <= 255:
        raise UserError(f'--noise {args.noise:g} is no noise level; write a number from 0 to 255, for example 25.')
    if args.input is not None and args.sets:
        raise UserError('--sets names datasets of the option file, but -i takes a folder instead; leave one of them '
                        'out.')
    if args.pictures is not None and args.pictures < 1:
        raise UserError(f'--pictures {args.pictures} leaves none; write 1 or more, or leave it out for all.')
    allow_megapixels(args.max_megapixels)
