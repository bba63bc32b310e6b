"""The argument of commands that may meet pictures larger than is allowed by default."""
from __future__ import annotations

import argparse

from basicsr_snn.errors import UserError
from basicsr_snn.images.limits import DEFAULT_MEGAPIXELS, OPTION, checked_megapixels


def add_limit_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--max_megapixels``; what is given is for :func:`basicsr_snn.images.limits.allow_megapixels`."""
    parser.add_argument(f'--{OPTION}', type=_megapixels, metavar='M',
                        help='refuse pictures that declare more megapixels, before they are decoded (default: '
                             f'{DEFAULT_MEGAPIXELS:g})')


def _megapixels(text: str) -> float:
    try:
        return checked_megapixels(text, f'--{OPTION}')
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
