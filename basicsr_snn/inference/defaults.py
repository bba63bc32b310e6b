"""Values that commands name in their help, which must not wait for torch."""
from __future__ import annotations

from typing import Literal, get_args

TILE_PAD = 72
"""Overlap in pixels that covers what one output pixel of any shipped network depends on: tiles leave no seam."""

AUTO_TILE_ABOVE = 500_000
"""Pixels above which a picture is restored in tiles when no tile is asked for."""

AUTO_TILE = 512
"""Side of those tiles: took the least CPU time a pixel among 128 to 1024, for `small` on two cores."""

LEAST_TILE = 16
"""The smallest that the command takes: a smaller one is nearly all overlap."""

VIEWS = (1, 2, 4, 8)
"""How many flips and turns a self-ensemble may take."""

AUTO_LEVEL = 'auto'
"""In the place of a noise level: it is estimated."""

AUTO_STRENGTH = 'auto'
"""In the place of a strength: as much of the change as there is noise, of networks for the noise of cameras."""

STRONGEST = 2.0
"""By which the change of a picture may be multiplied."""

Task = Literal['denoise', 'sr2', 'sr4', 'derain', 'jpeg', 'deblur']
TASKS: tuple[Task, ...] = get_args(Task)
"""What ``basicsr-snn restore`` does: noise, a picture of half or a quarter of the size, rain, traces of JPEG, blur."""

JPEG: Task = 'jpeg'

FACTORS: dict[str, int] = {'sr2': 2, 'sr4': 4}
"""By how much the networks of a task enlarge; those of others do not."""
