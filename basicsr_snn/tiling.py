"""A network's answer on a picture of any size, tile by tile, in bounded memory and without seams."""
from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.restoring import restore

TILE_PAD = 72
"""Overlap in pixels that covers what one output pixel of any shipped network depends on: tiles leave no seam."""


@dataclass(frozen=True)
class _Span:
    """One tile along one side: the network reads start..stop, and its answer counts in keep_start..keep_stop."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    @property
    def read(self) -> slice:
        return slice(self.start, self.stop)

    @property
    def kept(self) -> slice:
        return slice(self.keep_start, self.keep_stop)

    @property
    def kept_of_answer(self) -> slice:
        return slice(self.keep_start - self.start, self.keep_stop - self.start)


@torch.no_grad()
def tiled_forward(net: nn.Module, picture: Tensor, tile: int, tile_pad: int, batch: int = 1,
                  sigma: float | Tensor | None = None) -> Tensor:
    """Run a network on overlapping tiles and join what it answers.

    The answer is that of the whole picture where no output depends on input farther away than ``tile_pad``. Tiles start
    at multiples of the network's ``multiple_of``, so that strided layers see every pixel in the same phase; tiles at
    the border of the picture end there, so that the network pads them as it pads the whole picture. Border tiles are
    shifted inwards instead of cut, so at most four tile shapes occur. Pixels go to the network's device tile by tile.

    Args:
        net: Maps (N, C, H, W) to the same shape, any size; may have ``multiple_of`` and ``takes_sigma``.
        picture: (N, C, H, W), any device.
        tile: Side of a tile without its overlap, >= 1, in pixels.
        tile_pad: Overlap at each side of a tile, >= 0, in pixels. Both are rounded up to multiples of ``multiple_of``.
        batch: Number of tiles of each picture that go through the network at once.
        sigma: Noise level on the 0..255 scale, float or (N,), for networks that take one; else ignored.

    Returns:
        (N, C, H, W) on the picture's device, without gradient.

    Raises:
        UserError: ``tile`` or ``batch`` below 1, or ``tile_pad`` below 0.
    """
    _check_sizes(tile, tile_pad, batch)
    multiple = getattr(net, 'multiple_of', 1)
    spans = [_spans(length, _round_up(tile, multiple), _round_up(tile_pad, multiple), multiple)
             for length in picture.shape[-2:]]
    joined = torch.empty_like(picture)
    for group in _same_shape_groups(spans, batch):
        answers = _forward(net, [picture[(..., y.read, x.read)] for y, x in group], sigma)
        for (y, x), answer in zip(group, answers, strict=True):
            joined[(..., y.kept, x.kept)] = answer[(..., y.kept_of_answer, x.kept_of_answer)]
    return joined


def _check_sizes(tile: int, tile_pad: int, batch: int) -> None:
    for name, value, least in (('tile', tile, 1), ('tile_pad', tile_pad, 0), ('batch', batch, 1)):
        if not isinstance(value, int) or value < least:
            raise UserError(f'{name}: {value} was given, but a whole number of at least {least} is needed; '
                            f'write for example {name}: {max(least, 32)}.')


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _spans(length: int, tile: int, pad: int, multiple: int) -> list[_Span]:
    """Tiles that cover 0..length; all are ``tile + 2 * pad`` long, the last up to ``multiple - 1`` longer."""
    window = tile + 2 * pad
    if length <= window:
        return [_Span(0, length, 0, length)]
    spans = []
    keep_start = 0
    last_start = (length - window) // multiple * multiple
    for start in range(0, last_start, tile):
        keep_stop = start + window - pad
        spans.append(_Span(start, start + window, keep_start, keep_stop))
        keep_start = keep_stop
    return [*spans, _Span(last_start, length, keep_start, length)]


def _same_shape_groups(spans: list[list[_Span]], batch: int) -> list[list[tuple[_Span, _Span]]]:
    """Tiles (rows x columns) in groups of one shape, at most ``batch`` to a group."""
    by_shape = defaultdict(list)
    for y, x in product(*spans):
        by_shape[y.stop - y.start, x.stop - x.start].append((y, x))
    return [tiles[i:i + batch] for tiles in by_shape.values() for i in range(0, len(tiles), batch)]


def _forward(net: nn.Module, tiles: list[Tensor], sigma: float | Tensor | None) -> tuple[Tensor, ...]:
    parameter = next(net.parameters(), None)
    stacked = torch.cat(tiles).to(tiles[0].device if parameter is None else parameter.device)
    if isinstance(sigma, Tensor) and sigma.numel() > 1:
        sigma = sigma.repeat(len(tiles))
    return restore(net, stacked, sigma).chunk(len(tiles))
