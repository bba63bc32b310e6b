"""How many bytes a weight file declares, before any of them is read."""
from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path

from basicsr_snn.errors import UserError

LIMIT = 'BASICSR_SNN_WEIGHT_GB'
"""Environment variable: gigabytes of weights that a file may declare."""

DEFAULT_LIMIT = 4.0
"""The largest networks for image restoration that we know take half a gigabyte."""

DENSEST = 20
"""How many times its own size an archive may unpack to; torch does not compress, and trained weights hardly shrink."""

SMALL = 0.05
"""Gigabytes that any archive may unpack to."""


def check_declared_size(path: Path) -> None:
    """Refuse a file that declares more bytes than the limit, by its own size or by what a zip archive unpacks to.

    Raises:
        UserError: It declares more, or the limit is no number.
    """
    size = path.stat().st_size / 1e9
    declared, limit = max(size, _unpacked_bytes(path) / 1e9), _limit(size)
    if declared > limit:
        raise UserError(f'{path} has {size:,.2f} GB and declares {declared:,.2f} GB of weights, but of such a file at '
                        f'most {limit:.2g} GB are read; if you trust it and have the memory, write '
                        f'{LIMIT}={math.ceil(declared)} before the command.')


def _unpacked_bytes(path: Path) -> int:
    if not zipfile.is_zipfile(path):
        return 0
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(record.file_size for record in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):  # whoever reads it says so
        return 0


def _limit(size: float) -> float:
    """Gigabytes that a file of ``size`` gigabytes may declare."""
    said = os.environ.get(LIMIT)
    if not said:
        return min(DEFAULT_LIMIT, max(SMALL, DENSEST * size))
    try:
        limit = float(said)
    except ValueError:
        limit = math.nan
    if not limit > 0:
        raise UserError(f'{LIMIT} is {said!r}; write a number of gigabytes above 0, for example {LIMIT}=8.')
    return limit
