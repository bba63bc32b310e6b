"""Which part of a feature map shows which part of the picture, so that two maps are compared at the same places.

A network with strides or windows pads pictures inside, mostly at the right and the bottom: of a crop of 48 pixels
SCUNet makes a map of 64 cells, 48 of which are the picture. How many pixels a cell covers is measured: by how much the
picture must grow until the map grows.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache, partial

import torch
from torch import Tensor

from basicsr_snn.distill.feature_hooks import features_of
from basicsr_snn.inference.contract import Restorer

Cell = Fraction | None
"""Side of a cell in pixels; None for a map of one value for the whole picture."""

HARDLY_DIFFERENT = 1e-3
"""Share of a map's variance below which two differences are taken for equal."""

RELATED = 0.5
"""Correlation from which on two parts of a map show the same place. Others have about 0, since the picture is noise."""


class UnalignedError(ValueError):
    """It can't be told which part of a feature map shows which part of the picture."""


@dataclass(frozen=True)
class Alignment:
    """What two feature maps of one picture have in common.

    Attributes:
        student: Side of a cell of the student's map.
        teacher: The same of the teacher's.
    """

    student: Cell
    teacher: Cell

    def cut_student(self, feature: Tensor, picture: Tensor) -> Tensor:
        """The part of the student's map (..., h, w) that shows what the teacher's shows, too."""
        return self._cut(feature, picture, 0)

    def cut_teacher(self, feature: Tensor, picture: Tensor) -> Tensor:
        """The part of the teacher's map (..., h, w) that shows what the student's shows, too."""
        return self._cut(feature, picture, 1)

    def cut_picture(self, picture: Tensor) -> Tensor:
        """The part of the picture (..., h, w) that both maps show."""
        rows, columns = (self.pixels(side) for side in picture.shape[-2:])
        return picture[..., :rows, :columns]

    def pixels(self, side: int) -> int:
        """How many of ``side`` pixels both maps show."""
        shown = [count * cell for count, cell in zip(self.cells(side), (self.student, self.teacher), strict=True)
                 if count is not None and cell is not None]
        return min([side, *map(int, shown)])

    def cells(self, side: int) -> tuple[int | None, int | None]:
        """How many cells of either map show the same part of ``side`` pixels; None for all of a map."""
        mine, theirs = common_cells(side, (self.student, self.teacher))
        return mine, theirs

    def _cut(self, feature: Tensor, picture: Tensor, which: int) -> Tensor:
        rows, columns = (self.cells(side)[which] for side in picture.shape[-2:])
        return feature[..., :rows, :columns]


@lru_cache(maxsize=1024)
def common_cells(side: int, cells: tuple[Cell, ...]) -> tuple[int | None, ...]:
    """How many cells of each map, from its start, show the same part of ``side`` pixels; None for all of a map.

    As large a part as is made of whole cells of all maps; where there is none, all cells that the picture reaches.
    """
    known = [cell for cell in cells if cell is not None]
    for extent in range(side, side // 2, -1):
        if all((extent / cell).denominator == 1 for cell in known):
            return tuple(None if cell is None else int(extent / cell) for cell in cells)
    return tuple(None if cell is None else math.ceil(side / cell) for cell in cells)


class CellMeasure:
    """Measures the cells of a network's feature maps; it is run on squares of various sizes.

    Args:
        net: The network.
        paths: Module paths in ``net.network``, of modules that give feature maps.
        probe: A square picture (1, C, H, H) of the size of the training's crops, which the network can read.
        first: Path of the first layer, which tells at little cost to what pictures are padded, where it is known.
    """

    def __init__(self, net: Restorer, paths: Iterable[str], probe: Tensor, first: str | None = None) -> None:
        self.net, self.paths, self.probe = net, set(paths), probe
        self.side = probe.shape[-1]
        self._shapes = cache(partial(self._run, self.paths))
        self._pair = cache(self._features_of_part_and_whole)
        self._padded = self._padded_side(first)

    def cell(self, path: str) -> Cell:
        """Side of the cells of the map at ``path``, in pixels of the picture.

        Raises:
            UnalignedError: A map that does not grow with the picture, has a margin of its own, or shows the picture
                elsewhere than from its left and upper end on.
        """
        size_of = partial(self._size, path)
        count = size_of(self.side)
        if count == 1 and size_of(2 * self._padded) == 1:
            return None
        if size_of(self._padded + 1) == 0:
            return self._cell_of_fixed_sizes(path)
        end = _end_of_plateau(size_of, self.side, self._padded, 2 * self._padded)
        following = size_of(end + 1)
        following_end = _end_of_plateau(size_of, end + 1, end * following // count, 4 * end)
        cell = Fraction(following_end - end, following - count)
        if not -cell < end - count * cell < 2 * cell:
            raise UnalignedError(f'it has {count} cells for {end} pixels and one more for every {cell}, so it has a '
                                 'margin of its own')
        if end > self.side:
            self._refuse_other_ends(path, end, cell)
        return cell

    def _padded_side(self, first: str | None) -> int:
        """To what the network pads the probe before its first layer; it is told by this layer alone, which is cheap."""
        if first is None:
            return self.side
        shapes = cache(partial(self._run, {first}))
        try:
            return _end_of_plateau(lambda size: shapes(size)[first][-1], self.side, self.side, 8 * self.side)
        except UnalignedError:  # it is but a guess, which each map is measured from
            return self.side

    def _run(self, paths: set[str], size: int) -> Mapping[str, tuple[int, ...]]:
        """Shapes at ``paths`` for a square of another size; empty where the network cannot read it."""
        try:
            features = features_of(self.net, paths, self.probe.new_zeros(1, self.probe.shape[1], size, size))
        except (RuntimeError, ValueError, AssertionError):  # each architecture refuses a size in its own way
            return dict.fromkeys(paths, (0, 0))
        return {path: tuple(feature.shape) for path, feature in features.items()}

    def _size(self, path: str, size: int) -> int:
        """Rows, and columns, of the map for a square; 0 where the network cannot read it."""
        (*others, height, width), known = self._shapes(size)[path], self._shapes(self.side)[path]
        if height != width or height and tuple(others) != known[:-2]:
            raise UnalignedError('its last two dimensions are no rows and columns of the picture')
        return height

    def _cell_of_fixed_sizes(self, path: str) -> Cell:
        """Of a network that refuses sizes that it would have to pad, so that it pads nothing."""
        count = self._size(path, self.side)
        if self._size(path, 2 * self.side) != 2 * count:
            raise UnalignedError('it does not grow with the picture')
        return Fraction(self.side, count)

    def _refuse_other_ends(self, path: str, end: int, cell: Fraction) -> None:
        """Refuse a network that pads elsewhere than at the right and the bottom.

        The map of a picture that is padded inside is compared with that of a larger one, whose upper left part it is
        and which needs no padding: they are most alike from their upper left cells on.
        """
        small, large = (features[path] for features in self._pair(end))
        share = math.ceil(self.side / cell)
        block = max(min(2, share), share // 2)
        wanted = large[..., :block, :block]
        shifts = range(small.shape[-1] - share + 1)
        differences = {(y, x): float((small[..., y:y + block, x:x + block] - wanted).square().mean())
                       for y in shifts for x in shifts}
        unimportant = HARDLY_DIFFERENT * float(wanted.var(correction=0))
        elsewhere = differences[0, 0] > 2 * min(differences.values()) + unimportant
        if elsewhere or _correlation(small[..., :block, :block], wanted) < RELATED:
            raise UnalignedError('the network pads pictures at the left or the top')

    def _features_of_part_and_whole(self, whole: int) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Features of the upper left part of a noisy square, as large as the probe, and of the whole square."""
        generator = torch.Generator().manual_seed(0)
        square = torch.rand(1, self.probe.shape[1], whole, whole, generator=generator).to(self.probe.device)
        part = square[..., :self.side, :self.side]
        return features_of(self.net, self.paths, part), features_of(self.net, self.paths, square)


def _end_of_plateau(size_of: Callable[[int], int], start: int, guess: int, largest: int) -> int:
    """The largest picture whose map is of the same size as that of ``start``; ``guess`` is tried first. An
    ``UnalignedError`` where this is beyond ``largest``."""
    size = size_of(start)
    below, step = guess if guess > start and size_of(guess) == size else start, 1
    while size_of(below + step) == size:
        below, step = below + step, 2 * step
        if below > largest:
            raise UnalignedError('it has the same size for a larger picture')
    above = below + step
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (middle, above) if size_of(middle) == size else (below, middle)
    return below


def _correlation(one: Tensor, other: Tensor) -> float:
    """Of two maps (..., C, h, w), from place to place; 1 where the second is the same everywhere."""
    one, other = (part - part.mean((-2, -1), keepdim=True) for part in (one, other))
    norm = float(one.norm() * other.norm())
    return float((one * other).sum()) / norm if norm else float(not other.any())
