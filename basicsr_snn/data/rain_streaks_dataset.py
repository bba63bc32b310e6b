"""Clean pictures with synthetic rain added on the fly."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_snn.data.degraded_pictures import DegradedPictures
from basicsr_snn.data.ranges import Range, read_ranges
from basicsr_snn.images.rain import Shower, draw_streaks, with_streaks

ALLOWED: dict[str, Range] = {
    'directions': (1, 10), 'angle': (-90.0, 90.0), 'spread': (0.0, 45.0), 'length': (2.0, 500.0), 'width': (0.5, 50.0),
    'softness': (0.0, 20.0), 'coverage': (0.0, 2.0), 'brightness': (0.0, 1.0)}
"""The values that each range may hold."""


@dataclass(frozen=True)
class Rain:
    """How rain is drawn, for each picture anew: least and largest values.

    Attributes:
        directions: In how many directions it falls; each has values of its own for all that follows.
        angle: Degrees from the vertical, uniform.
        spread: Standard deviation of the angle of single streaks in one direction, degrees, uniform.
        length: Of a streak in pixels, log-uniform.
        width: Of a streak in pixels, log-uniform.
        softness: Of the edges of streaks, standard deviation of a Gaussian in pixels, uniform.
        coverage: Share of the picture that streaks of one direction cover, uniform.
        brightness: Light that the brightest streaks add, 0..1, uniform.
    """

    directions: Range = (1, 4)
    angle: Range = (-25.0, 25.0)
    spread: Range = (0.0, 6.0)
    length: Range = (15.0, 80.0)
    width: Range = (1.0, 4.0)
    softness: Range = (0.0, 0.7)
    coverage: Range = (0.1, 0.8)
    brightness: Range = (0.1, 0.45)

    def showers(self, rng: np.random.Generator) -> list[Shower]:
        """The showers of the next picture."""
        return [self._shower(rng) for _ in range(int(rng.integers(self.directions[0], self.directions[1] + 1)))]

    def _shower(self, rng: np.random.Generator) -> Shower:
        length, width = (float(np.exp(rng.uniform(*np.log(limits)))) for limits in (self.length, self.width))
        return Shower(rng.uniform(*self.angle), rng.uniform(*self.spread), length, width,
                      *(rng.uniform(*limits) for limits in (self.softness, self.coverage, self.brightness)))


@DATASET_REGISTRY.register()
class RainStreaksDataset(DegradedPictures):
    """Clean pictures (``gt``) and the same in heavy rain (``lq``), made anew at each access.

    Sharp streaks of one or several directions are added to all channels, clipped and rounded to 8 bits
    (:mod:`basicsr_snn.images.rain`, which names the source). Crops are flipped and turned before it rains, so streaks
    keep their directions. What is random follows from the same seeds as in
    :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`; in validation and test each picture
    has rain of its own, which follows from ``noise_seed`` and its place in the folder.

    Args:
        opt: the options of the dataset. ``dataroot_gt``, ``io_backend``, ``in_ch``, ``subset``, ``recursive``,
            ``cache``, ``noise_seed``, ``gt_size``, ``use_hflip``, ``use_rot`` and ``repeat`` are those of
            :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`. Its own are the least and
            the largest value of what is drawn for each picture; all of them are our choice:

            - ``directions: [1, 4]``: in how many directions it rains; each draws its own values of the others.
            - ``angle: [-25, 25]``: degrees from the vertical; ``spread: [0, 6]``: standard deviation of single streaks
              around it, degrees.
            - ``length: [15, 80]``, ``width: [1, 4]``: of the streaks, in pixels, log-uniform.
            - ``softness: [0, 0.7]``: of their edges, standard deviation of a Gaussian in pixels.
            - ``coverage: [0.1, 0.8]``: area of the streaks of one direction, as a share of that of the picture.
            - ``brightness: [0.1, 0.45]``: light that the brightest streaks add, of 0..1; single ones add half at least.

    An item holds what those of :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset` hold;
    ``sigma`` is the standard deviation of the difference, 0..255 scale.

    Raises:
        UserError: options that do not fit together, pictures that cannot be read.

    .. code-block:: yaml

        train:
          name: BSD432
          type: RainStreaksDataset
          dataroot_gt: datasets/BSD432
          gt_size: 64
          directions: [1, 3]
          angle: [-20, 20]
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        self.rain = Rain(**read_ranges(self.name_of(opt), opt, ALLOWED, vars(Rain)))
        super().__init__(opt)

    def degraded(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = clean.shape[:2]
        for shower in self.rain.showers(rng):
            clean = with_streaks(clean, draw_streaks(height, width, shower, rng))
        return clean
