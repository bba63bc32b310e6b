"""Which noise of cameras a dataset draws: kinds, levels and what comes behind, as options."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from basicsr_snn.data.ranges import is_number, read_ranges
from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.images.camera import (
    draw_sensor,
    photograph,
    scaled,
    shot_and_read_noise,
    smooth_noise,
)
from basicsr_snn.images.files import to_float, to_integers
from basicsr_snn.images.jpeg import stored_as_jpeg

KINDS = ('camera', 'poisson', 'gaussian', 'jpeg', 'none')
ALLOWED = {'shot_noise': (1e-6, 1.0), 'light_smoothing': (0.0, 50.0), 'colour_smoothing': (0.0, 50.0),
           'gaussian_sigma': (0.0, 255.0), 'enlarge_range': (1.0, 4.0), 'resize_range': (0.1, 1.0),
           'jpeg_quality': (1, 100)}
"""The values that each range may hold."""


@dataclass(frozen=True)
class CameraNoise:
    """How noise is drawn, for each picture anew. The defaults are our choice, after the training scenes of PolyU.

    Attributes:
        kinds: Shares of the kinds of noise. ``camera``: of a sensor, demosaiced, developed and smoothed; ``poisson``:
            shot and read noise on the picture as it is; ``gaussian``: white; ``jpeg``: what JPEG makes of a clean
            picture; ``none``: a clean one, so that a network learns to leave it alone. What is not named has no share.
        shot_noise: Least and largest variance of a pixel of the sensor for each unit of light, drawn log-uniformly.
            Brooks et al. take [0.0001, 0.012] for raw pictures.
        light_smoothing: Least and largest Gaussian, in pixels, by which a camera smooths the noise of the luminance.
        colour_smoothing: The same for the noise of the colours.
        gaussian_sigma: Least and largest standard deviation of ``gaussian``, 0..255 scale.
        enlarge_range: Least and largest factor by which the clean picture is made larger before it gets noise. What
            cameras store is smooth from pixel to pixel; pictures that were made smaller for a data set are not.
        resize_range: Least and largest factor by which a picture is made smaller with its noise; [1, 1]: never.
        jpeg_share: Share of the noisy pictures that are stored as JPEG; all others are rounded to 8 bits.
        jpeg_quality: Least and largest quality, 1..100.
    """

    kinds: Mapping[str, float] = field(
        default_factory=lambda: {'camera': 0.7, 'poisson': 0.1, 'gaussian': 0.1, 'jpeg': 0.07, 'none': 0.03})
    shot_noise: tuple[float, float] = (0.0001, 0.006)
    light_smoothing: tuple[float, float] = (0.0, 0.9)
    colour_smoothing: tuple[float, float] = (0.0, 5.0)
    gaussian_sigma: tuple[float, float] = (0.0, 25.0)
    enlarge_range: tuple[float, float] = (1.0, 1.0)
    resize_range: tuple[float, float] = (1.0, 1.0)
    jpeg_share: float = 0.7
    jpeg_quality: tuple[int, int] = (75, 100)

    @classmethod
    def from_opt(cls, opt: Mapping[str, Any], name: str) -> CameraNoise:
        """Read the options of a dataset.

        Args:
            opt: Its block.
            name: What messages call it.

        Raises:
            UserError: Kinds that are not known, or values out of range.
        """
        given = {one.name: opt[one.name] for one in fields(cls) if opt.get(one.name) is not None}
        ranges = read_ranges(name, opt, ALLOWED, vars(cls))
        if 'kinds' in given:
            _check_kinds(name, given['kinds'])
        share = given.get('jpeg_share', cls.jpeg_share)
        if not is_number(share) or not 0 <= share <= 1:
            raise UserError(f'{name}: `jpeg_share: {share}` given, a number from 0 to 1 is allowed: write '
                            f'`jpeg_share: {cls.jpeg_share}`.')
        return cls(**{**given, **ranges})

    def draw_enlargement(self, rng: np.random.Generator) -> float:
        """The factor by which the next clean picture is made larger; nothing is drawn where it is fixed."""
        least, most = self.enlarge_range
        return least if least == most else float(rng.uniform(least, most))

    def draw_scale(self, rng: np.random.Generator) -> float:
        """The factor by which the next picture is made smaller."""
        return float(rng.uniform(*self.resize_range))

    def pair(self, picture: np.ndarray, size: tuple[int, int],
             rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A noisy picture and what it shows.

        Args:
            picture: Clean, (H, W, 3) float32 in 0..1.
            size: Height and width of the pair, as :meth:`draw_scale` makes them of those of the picture.
            rng: For everything.

        Returns:
            The noisy picture, of 8 bits, and the clean one, both (h, w, 3) float32 in 0..1.
        """
        shares = np.array([self.kinds.get(kind, 0) for kind in KINDS], float)
        kind = str(rng.choice(KINDS, p=shares / shares.sum()))
        noisy = self._noisy(kind, picture, rng)
        if size != picture.shape[:2]:
            noisy, picture = scaled(noisy, *size), scaled(picture, *size)
        stored = to_integers(noisy)
        if kind == 'jpeg' or kind != 'none' and rng.random() < self.jpeg_share:
            stored = stored_as_jpeg(stored, int(rng.integers(self.jpeg_quality[0], self.jpeg_quality[1] + 1)))
        return to_float(stored), picture

    def _noisy(self, kind: str, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if kind == 'camera':
            noisy = photograph(picture, draw_sensor(rng, self.shot_noise), rng)
            return smooth_noise(picture, noisy, rng.uniform(*self.light_smoothing), rng.uniform(*self.colour_smoothing))
        if kind == 'poisson':
            return picture + shot_and_read_noise(picture, draw_sensor(rng, self.shot_noise), rng)
        if kind == 'gaussian':
            sigma = np.float32(rng.uniform(*self.gaussian_sigma) / 255)
            return picture + sigma * rng.standard_normal(picture.shape, np.float32)
        return picture


def _check_kinds(name: str, kinds: Any) -> None:
    example = 'write shares, such as `kinds: {camera: 0.8, none: 0.2}`'
    if not isinstance(kinds, Mapping):
        raise UserError(f'{name}: `kinds: {kinds}` given, shares of {", ".join(KINDS)} are allowed: {example}.')
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UserError(f'{name}: kinds has an unknown kind "{unknown[0]}"; did you mean '
                        f'{" or ".join(near_matches(unknown[0], KINDS))}?')
    if not all(is_number(share) and share >= 0 for share in kinds.values()) or not sum(kinds.values()) > 0:
        raise UserError(f'{name}: `kinds: {dict(kinds)}` given, numbers of at least 0 are allowed, one of them above '
                        f'0: {example}.')
