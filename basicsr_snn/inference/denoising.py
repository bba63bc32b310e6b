"""Whole picture files through a network: any size, channels and bits, in the memory of a few rows of tiles."""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from basicsr_snn.finite import check_answer
from basicsr_snn.images.enlarging import enlarged
from basicsr_snn.images.files import Picture, to_float, to_integers
from basicsr_snn.images.noise import NoiseStream
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.inference.found_noise import found_strength
from basicsr_snn.inference.other_pictures import through_channels, with_contrast
from basicsr_snn.inference.tiling import AUTO_TILE, AUTO_TILE_ABOVE, TILE_PAD, Span, restored_band, tile_spans


class RowReader:
    """Rows of a stored picture as floats, from top to bottom, with the noise of the test protocol if it is asked for.

    Only what the next tiles read is in memory.

    Args:
        stored: (H, W, C) uint8 or uint16.
        noise: What to add, at its start; None: nothing.
    """

    def __init__(self, stored: np.ndarray, noise: NoiseStream | None = None) -> None:
        self._stored = stored
        self._noise = noise
        self._held = np.empty((0, *stored.shape[1:]), np.float32)
        self._held_from = 0

    def read(self, rows: slice) -> np.ndarray:
        """(h, W, C) float32 in 0..1, plus noise; ``rows`` must not start above those of the call before."""
        if self._noise is None:
            return to_float(self._stored[rows])
        held_to = self._held_from + len(self._held)
        fresh = self._noise.add_to(to_float(self._stored[held_to:rows.stop]))
        self._held = np.concatenate([self._held[rows.start - self._held_from:], fresh])
        self._held_from = rows.start
        return self._held


@dataclass(frozen=True)
class Band:
    """One restored row of tiles.

    Attributes:
        rows: Where it lies in the result.
        given: (h, W, C) float32, what the network was given.
        restored: What it answered, of that size or as much larger as it enlarges, not clipped.
        strength: Share of the change that was made.
    """

    rows: slice
    given: np.ndarray
    restored: np.ndarray
    strength: float = 1.0


@dataclass
class Denoiser:
    """A network made to take pictures of any channel count and size.

    Grey becomes three equal channels for a colour network and their mean afterwards; a grey network restores the
    channels of a colour picture one by one.

    Attributes:
        net: Ready for inference.
        channels: What it reads and writes, 3 or 1.
        tile: Side of a tile; 0: never tile; None: :data:`AUTO_TILE` for pictures above :data:`AUTO_TILE_ABOVE`.
        tile_pad: Overlap of tiles; None: the network's receptive field, or :data:`TILE_PAD` where that is not known.
        sigma: Noise level to tell the network, or None for its own.
        contrast: Factor on the contrast, about mid-grey, of what the network is given; undone in its answer. A network
            for noise of 25 restores noise of 50 at half the contrast (our choice).
        strength: Share of the change that is made: 0 gives the picture itself, or, of a network that enlarges, the
            bicubic one; 2 twice the change. None: as much as there is noise, for networks for the noise of cameras
            (:func:`~basicsr_snn.inference.found_noise.found_strength`).
    """

    net: Restorer
    channels: int
    tile: int | None = None
    tile_pad: int | None = None
    sigma: float | None = None
    contrast: float = 1.0
    strength: float | None = 1.0

    def __post_init__(self) -> None:
        self.tile_pad = self.overlap

    @property
    def overlap(self) -> int:
        """Overlap of tiles: what was asked for, or what the network needs."""
        if self.tile_pad is not None:
            return self.tile_pad
        field = self.net.receptive_field
        return TILE_PAD if field is None else field

    def tile_for(self, height: int, width: int) -> int:
        """Side of the tiles of a picture, 0 if it goes through whole."""
        tile = (AUTO_TILE if height * width > AUTO_TILE_ABOVE else 0) if self.tile is None else self.tile
        return tile if tile < max(height, width) else 0

    def tile_count(self, height: int, width: int, channels: int) -> int:
        """How many tiles a picture goes through the network in, those of each channel counted by themselves."""
        rows, columns = self._spans(height, width)
        return len(rows) * len(columns) * (channels if channels > self.channels else 1)

    def _spans(self, height: int, width: int) -> tuple[list[Span], list[Span]]:
        tile = self.tile_for(height, width) or max(height, width)
        rows, columns = (tile_spans(self.net, length, tile, self.overlap) for length in (height, width))
        return rows, columns

    def bands(self, picture: Picture, noise: NoiseStream | None = None,
              after_tiles: Callable[[int], None] | None = None) -> Iterator[Band]:
        """Restore a picture from top to bottom, telling ``after_tiles`` how many tiles were just done.

        Raises:
            NotFiniteError: The network answers with NaN or infinity.
        """
        rows, columns = self._spans(*picture.stored.shape[:2])
        strength = self.strength
        if strength is None and len(rows) * len(columns) > 1:
            strength = self._strength_for_the_middle(picture, copy.deepcopy(noise))
        reader = RowReader(picture.stored, noise)
        for row in rows:
            given = reader.read(row.read)
            restored = self._restored(given, columns, after_tiles)
            if strength != 1:
                base = enlarged(given, self.net.scale)
                strength = found_strength(restored - base) if strength is None else strength  # this is all of it
                restored = base + strength * (restored - base)
            larger = row.scaled(self.net.scale)
            yield Band(larger.kept, given[row.kept_of_answer], restored[larger.kept_of_answer], strength)

    def _strength_for_the_middle(self, picture: Picture, noise: NoiseStream | None) -> float:
        """What suits a large picture, by one tile of it."""
        row, column = (spans[len(spans) // 2] for spans in (
            tile_spans(self.net, length, AUTO_TILE, self.overlap) for length in picture.stored.shape[:2]))
        given = np.ascontiguousarray(RowReader(picture.stored, noise).read(row.read)[:, column.read])
        seen = np.s_[row.kept_of_answer, column.kept_of_answer]
        width = given.shape[1]
        return found_strength((self._restored(given, [Span(0, width, 0, width)], None) - given)[seen])

    def _restored(self, given: np.ndarray, columns: list[Span],
                  after_tiles: Callable[[int], None] | None) -> np.ndarray:
        band = torch.from_numpy(given).permute(2, 0, 1).unsqueeze(0)
        answer = through_channels(lambda part: self._checked(part, columns, after_tiles), self.channels, band)
        return answer[0].permute(1, 2, 0).numpy()

    def _checked(self, band: Tensor, columns: list[Span], after_tiles: Callable[[int], None] | None) -> Tensor:
        answer = restored_band(self.net, with_contrast(band, self.contrast), columns, sigma=self.sigma,
                               after_tiles=after_tiles)
        answer = with_contrast(answer, 1 / self.contrast)
        if not answer.sum().isfinite():  # one NaN or infinity spoils the sum, which needs no second picture
            check_answer(answer, consequence='nothing is written')
        return answer


@dataclass(frozen=True)
class EightBits:
    """The three pictures that a score compares, (H, W, C) uint8."""

    clean: np.ndarray
    noisy: np.ndarray
    restored: np.ndarray


class Restored(NamedTuple):
    """A picture that was restored.

    Attributes:
        pixels: (H, W, C) uint8 or uint16, or as much larger as the network enlarges.
        compared: What a score needs, where that was asked for.
        strength: Share of the change that was made.
    """

    pixels: np.ndarray
    compared: EightBits | None
    strength: float


def restore_picture(denoiser: Denoiser, picture: Picture, noise: NoiseStream | None = None,
                    bits: int | None = None, compare: bool = False,
                    after_tiles: Callable[[int], None] | None = None) -> Restored:
    """Restore a picture to integers.

    Args:
        denoiser: The network.
        picture: What to restore, or what to add noise to.
        noise: Noise to add first; None: none.
        bits: 8 or 16, of the result; None: those of the picture.
        compare: Also keep what a score needs, of a network that does not enlarge.
        after_tiles: Called with the number of tiles that were just done.

    Raises:
        NotFiniteError: The network answers with NaN or infinity.
    """
    bits = bits or picture.bits
    height, width, channels = picture.stored.shape
    size = denoiser.net.scale * height, denoiser.net.scale * width, channels
    restored = np.empty(size, np.uint8 if bits == 8 else np.uint16)
    eight, strength = None, 1.0
    if compare:  # of 8 bits, picture and result are what is compared
        clean, small = (one if one.dtype == np.uint8 else np.empty(restored.shape, np.uint8)
                        for one in (picture.stored, restored))
        eight = EightBits(clean, np.empty(restored.shape, np.uint8), small)
    for band in denoiser.bands(picture, noise, after_tiles):
        restored[band.rows], strength = to_integers(band.restored, bits), band.strength
        if eight is not None:
            eight.noisy[band.rows] = to_integers(band.given)
            if eight.clean is not picture.stored:
                eight.clean[band.rows] = to_integers(to_float(picture.stored[band.rows]))
            if eight.restored is not restored:
                eight.restored[band.rows] = to_integers(band.restored)
    return Restored(restored, eight, strength)
