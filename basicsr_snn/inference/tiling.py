"""A network's answer on a picture of any size, tile by tile, in bounded memory and without seams."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import restore
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.inference.defaults import AUTO_TILE, AUTO_TILE_ABOVE, TILE_PAD

__all__ = ['AUTO_TILE', 'AUTO_TILE_ABOVE', 'TILE_PAD', 'Span', 'restored_band', 'tile_spans', 'tiled_forward']


@dataclass(frozen=True)
class Span:
    """One tile along one side: the network reads start..stop, and its answer counts in keep_start..keep_stop."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    def scaled(self, factor: int) -> Span:
        """The same tile in a picture that is larger by a factor."""
        return Span(*(factor * end for end in (self.start, self.stop, self.keep_start, self.keep_stop)))

    @property
    def read(self) -> slice:
        return slice(self.start, self.stop)

    @property
    def kept(self) -> slice:
        return slice(self.keep_start, self.keep_stop)

    @property
    def kept_of_answer(self) -> slice:
        return slice(self.keep_start - self.start, self.keep_stop - self.start)


def tiled_forward(net: Restorer, picture: Tensor, tile: int, tile_pad: int, batch: int = 1,
                  sigma: float | Tensor | None = None) -> Tensor:
    """Run a network on overlapping tiles and join what it answers.

    The answer is that of the whole picture where no output depends on input farther away than ``tile_pad``. Tiles start
    at multiples of the network's ``multiple_of``, so that strided layers see every pixel in the same phase; tiles at
    the border of the picture end there, so that the network pads them as it pads the whole picture. The last tiles are
    shifted inwards instead of cut, so at most four tile shapes occur. Pixels go to the network's device tile by tile.

    Args:
        net: A restorer.
        picture: (N, C, H, W), any device.
        tile: Largest side of a tile without its overlap, >= 1, in pixels of ``picture``.
        tile_pad: Overlap at each side of a tile, >= 0, in the same pixels. Both are rounded up to multiples of
            ``multiple_of``.
        batch: Number of neighbouring tiles that go through the network at once.
        sigma: Noise level on the 0..255 scale, float or (N,), for networks that take one; else ignored.

    Returns:
        (N, C, H, W), or as much larger as the network enlarges, on the picture's device, without gradient.

    Raises:
        UserError: ``tile`` or ``batch`` below 1, or ``tile_pad`` below 0.
    """
    rows, columns = (tile_spans(net, length, tile, tile_pad) for length in picture.shape[-2:])
    joined = picture.new_empty(0)
    with torch.no_grad():
        for row in rows:
            answer = restored_band(net, picture[..., row.read, :], columns, batch, sigma)
            factor = answer.shape[-1] // picture.shape[-1]
            joined = joined if joined.numel() else _room(picture, answer.shape[1], factor)
            larger = row.scaled(factor)
            joined[..., larger.kept, :] = answer[..., larger.kept_of_answer, :]
    return joined


@torch.inference_mode()
def restored_band(net: Restorer, band: Tensor, columns: list[Span], batch: int = 1,
                  sigma: float | Tensor | None = None, after_tiles: Callable[[int], None] | None = None) -> Tensor:
    """The network's answer on one row of tiles, for callers who have no more than that in memory.

    Args:
        net: As in :func:`tiled_forward`.
        band: (N, C, h, W): the pixels that one row of tiles reads.
        columns: Spans of the tiles along the width, see :func:`tile_spans`.
        batch: Number of tiles that go through the network at once.
        sigma: As in :func:`tiled_forward`.
        after_tiles: Called after some tiles, with their number.

    Returns:
        (N, C, h, W), or as much larger as the network enlarges, on the band's device, an inference tensor.

    Raises:
        UserError: ``batch`` below 1.
    """
    _check_size('batch', batch, 1)
    joined = band.new_empty(0)
    for group in _same_width_groups(columns, batch):
        answers = _forward(net, [band[..., column.read] for column in group], sigma)
        factor = answers[0].shape[-1] // (group[0].stop - group[0].start)
        joined = joined if joined.numel() else _room(band, answers[0].shape[1], factor)
        for column, answer in zip(group, answers, strict=True):
            larger = column.scaled(factor)
            joined[..., larger.kept] = answer[..., larger.kept_of_answer]
        if after_tiles:
            after_tiles(len(group))
    return joined


def _room(picture: Tensor, channels: int, factor: int) -> Tensor:
    """An empty picture for answers on ``picture`` that are larger by a factor."""
    height, width = (factor * side for side in picture.shape[-2:])
    return picture.new_empty(len(picture), channels, height, width, requires_grad=False)


def tile_spans(net: Restorer, length: int, tile: int, tile_pad: int) -> list[Span]:
    """Tiles that cover a side of a picture, in order: all of one length, the last up to ``multiple_of - 1`` longer.

    As few as ``tile`` allows, and then as short as that number allows; all of the length ``tile`` where the network
    compiles each size anew, so that every large picture has tiles of the same sizes.

    Args:
        net: Its ``multiple_of`` is what starts and lengths are multiples of.
        length: The picture's side in pixels, >= 1.
        tile: As in :func:`tiled_forward`.
        tile_pad: As in :func:`tiled_forward`.

    Raises:
        UserError: ``tile`` below 1, or ``tile_pad`` below 0.
    """
    _check_size('tile', tile, 1)
    _check_size('tile_pad', tile_pad, 0)
    multiple = net.multiple_of
    pad = _round_up(tile_pad, multiple)
    step = _round_up(tile, multiple)
    if length <= step + 2 * pad:
        return [Span(0, length, 0, length)]
    count = -(-(length - 2 * pad) // step)
    if not net.compiles_sizes:
        step = _round_up(-(-(length - 2 * pad) // count), multiple)
    window = step + 2 * pad
    spans = []
    keep_start = 0
    last_start = (length - window) // multiple * multiple
    for start in range(0, last_start, step):
        keep_stop = start + window - pad
        spans.append(Span(start, start + window, keep_start, keep_stop))
        keep_start = keep_stop
    return [*spans, Span(last_start, length, keep_start, length)]


def _check_size(name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or value < least:
        raise UserError(f'{name}: {value} was given, but a whole number of at least {least} is needed; '
                        f'write for example {name}: {max(least, 32)}.')


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _same_width_groups(columns: list[Span], batch: int) -> list[list[Span]]:
    by_width = defaultdict(list)
    for column in columns:
        by_width[column.stop - column.start].append(column)
    return [spans[i:i + batch] for spans in by_width.values() for i in range(0, len(spans), batch)]


def _forward(net: Restorer, tiles: list[Tensor], sigma: float | Tensor | None) -> tuple[Tensor, ...]:
    parameter = next(net.parameters(), None)
    stacked = torch.cat(tiles).to(tiles[0].device if parameter is None else parameter.device)
    if isinstance(sigma, Tensor) and sigma.numel() > 1:
        sigma = sigma.repeat(len(tiles))
    return restore(net, stacked, sigma).chunk(len(tiles))
