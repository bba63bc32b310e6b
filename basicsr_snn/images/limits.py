"""How many pixels a picture may declare: one number for every command and every data set.

A file of a few kilobytes can declare a picture that fills the memory. What a picture declares is therefore looked at
before anything is decoded. The number is kept in an environment variable, so that worker processes know it too.
"""
from __future__ import annotations

import math
import os

from basicsr_snn.errors import UserError

VARIABLE = 'BASICSR_SNN_MAX_MEGAPIXELS'
DEFAULT_MEGAPIXELS = 256.0
HIGHEST_MEGAPIXELS = 2**30 / 1e6
"""OpenCV decodes no more."""

LONGEST_SIDE = 1_000_000
"""Neither does libpng."""

OPTION = 'max_megapixels'


def max_megapixels() -> float:
    """The number that holds now.

    Raises:
        UserError: the environment variable is no such number.
    """
    given = os.environ.get(VARIABLE)
    return DEFAULT_MEGAPIXELS if given is None else checked_megapixels(given, VARIABLE)


def allow_megapixels(number: float | None) -> None:
    """Let pictures of up to ``number`` megapixels be read from now on, here and in processes that start later; None
    changes nothing."""
    if number is not None:
        os.environ[VARIABLE] = repr(float(number))


def checked_megapixels(given: object, where: str) -> float:
    """A number of megapixels from what was given at ``where``.

    Raises:
        UserError: it is none, or more than OpenCV decodes.
    """
    try:
        number = float(str(given))
    except ValueError:
        number = 0.0
    if not 0 < number <= HIGHEST_MEGAPIXELS:
        raise UserError(f'{where} is {given!r}: a number of megapixels above 0 and up to {HIGHEST_MEGAPIXELS:.0f} is '
                        'allowed; write for example 500.')
    return number


def check_pixels(width: int, height: int, name: object) -> None:
    """Refuse a picture that declares more pixels than are allowed.

    Raises:
        UserError: it does.
    """
    declared, allowed = width * height / 1e6, max_megapixels()
    if declared > HIGHEST_MEGAPIXELS or max(width, height) > LONGEST_SIDE:
        raise UserError(f'{name} declares {width}x{height} pixels: no picture of more than {HIGHEST_MEGAPIXELS:.0f} '
                        f'megapixels, or with a side of more than {LONGEST_SIDE:,d}, is decoded; cut it into smaller '
                        'ones.')
    if declared > allowed:
        megapixels = f'{declared:.0f}' if declared >= 1 else f'{declared:.2g}'
        raise UserError(f'{name} declares {width}x{height} pixels, which is {megapixels} megapixels, but at most '
                        f'{allowed:g} are allowed, since a small file may declare a picture that fills the memory: if '
                        f'you trust it, allow more with `--{OPTION} {math.ceil(declared)}` (in an option file: '
                        f'`{OPTION}: {math.ceil(declared)}`).')
