"""Gaussian noise: the seeded noise of the test protocol, fresh noise for training, and its level in the options."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from basicsr_snn.errors import UserError

HIGHEST_SIGMA = 255.0
NoiseKey = Literal['sigma', 'sigma_range', 'sigma_list']
NOISE_KEYS: tuple[NoiseKey, ...] = ('sigma', 'sigma_range', 'sigma_list')
EXAMPLES = '`sigma: 25`, `sigma_range: [0, 55]` or `sigma_list: [15, 25, 50]`'
_DRAWN_AT_ONCE = 2**20


class NoiseStream:
    """The noise of the test protocol, drawn piece by piece: what the pieces get is bit for bit what one draw gives.

    The generator is private, so the global state of NumPy is neither read nor changed. The draw follows the layout of
    the array: with channels in another order, or as CHW, the same seed would give other noise.

    Args:
        sigma: standard deviation on the 0..255 scale.
        seed: seed of the generator, which starts anew for each picture.
    """

    def __init__(self, sigma: float, seed: int = 0) -> None:
        self._scale = sigma / 255.0
        # the legacy generator keeps the second value of each pair that it draws, so odd pieces lose nothing
        self._generator = np.random.RandomState(seed)

    def add_to(self, rows: np.ndarray) -> np.ndarray:
        """Add noise to the next rows of the picture.

        Args:
            rows: (h, W, C) float32 in 0..1, RGB or grey; the calls go through a picture from top to bottom.

        Returns:
            (h, W, C) float32, not clipped.
        """
        noisy = np.empty(rows.shape, np.float32)
        at_once = max(1, _DRAWN_AT_ONCE // max(1, rows[:1].size))
        for start in range(0, len(rows), at_once):
            part = rows[start:start + at_once]
            # the sum is taken in float64, as `float32_array += float64_noise` does
            np.add(part, self._generator.normal(0, self._scale, part.shape), out=noisy[start:start + at_once],
                   dtype=np.float64, casting='same_kind')
        return noisy


def add_gaussian_noise(pixels: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    """Add the noise of the test protocol: the same for every picture of one size, bit for bit Restormer's.

    Args:
        pixels: (H, W, C) in 0..1, RGB or grey, float32.
        sigma: standard deviation on the 0..255 scale.
        seed: seed of the generator, which starts anew for each picture; see :class:`NoiseStream`.

    Returns:
        (H, W, C) float32, not clipped.
    """
    return NoiseStream(sigma, seed).add_to(pixels)


def add_training_noise(pixels: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
    """Add fresh noise from torch's global generator.

    Args:
        pixels: tensor of any shape in 0..1.
        sigma: standard deviation on the 0..255 scale, broadcast against ``pixels``.

    Returns:
        Noisy tensor of the same shape, not clipped.
    """
    return pixels + torch.randn_like(pixels) * (sigma / 255.0)


@dataclass(frozen=True)
class NoiseLevel:
    """How the standard deviation of the noise is chosen, on the 0..255 scale.

    Attributes:
        key: the option that set it: ``sigma`` (fixed), ``sigma_range`` (uniform between two levels) or ``sigma_list``
            (one of several, equally likely).
        values: the level; the lowest and the highest; or the levels to choose from.
    """

    key: NoiseKey
    values: tuple[float, ...]

    @classmethod
    def from_options(cls, options: Mapping[str, Any], where: str = 'the dataset') -> NoiseLevel:
        """Read the one noise key of a dataset's options.

        Args:
            options: holds exactly one of ``sigma``, ``sigma_range``, ``sigma_list``.
            where: named at the start of every error message.

        Raises:
            UserError: none or several of the keys, or a value that is no level in 0..255.
        """
        given = [key for key in NOISE_KEYS if options.get(key) is not None]
        if len(given) != 1:
            found = 'no noise level' if not given else ' and '.join(f'`{key}`' for key in given) + ' together'
            raise UserError(f'{where}: {found} given, exactly one is allowed: write one of {EXAMPLES}.')
        key = given[0]
        return cls(key, _levels(key, options[key], where))

    @property
    def fixed(self) -> bool:
        """Whether every picture gets the same level."""
        return len(set(self.values)) == 1

    def draw(self) -> torch.Tensor:
        """One level as a float32 scalar tensor, by torch's global generator where it is random."""
        if self.key == 'sigma':
            return torch.tensor(self.values[0], dtype=torch.float32)
        if self.key == 'sigma_range':
            low, high = self.values
            return low + (high - low) * torch.rand(())
        return torch.tensor(self.values[int(torch.randint(len(self.values), ()))], dtype=torch.float32)


    def at(self, chance: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Levels of the shape of ``chance``, which is uniform in 0..1; ``values`` are those of this on its device."""
        if self.key == 'sigma_range':
            return values[0] + (values[1] - values[0]) * chance
        return values[(chance * len(self.values)).long().clamp_max(len(self.values) - 1)]


def _levels(key: NoiseKey, given: Any, where: str) -> tuple[float, ...]:
    values = [given] if key == 'sigma' else given
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise UserError(f'{where}: `{key}: {given}` is no list of noise levels: write it like {EXAMPLES}.')
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not 0 <= value <= HIGHEST_SIGMA:
            raise UserError(f'{where}: {value!r} in `{key}` is no noise level: give a number from 0 to 255 (the scale '
                            'of 8-bit pixels), as in `sigma: 25`.')
    if key == 'sigma_range' and (len(values) != 2 or values[0] > values[1]):
        raise UserError(f'{where}: `sigma_range: {given}` is no range: give the lowest and the highest level in this '
                        'order, as in `sigma_range: [0, 55]`.')
    return tuple(float(value) for value in values)
