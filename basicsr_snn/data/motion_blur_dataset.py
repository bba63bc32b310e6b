"""Clean pictures blurred by a random motion of the camera, on the fly."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_snn.data.degraded_pictures import DegradedPictures
from basicsr_snn.data.ranges import Range, read_ranges
from basicsr_snn.images.motion_blur import blurred, draw_path, kernel_of

ALLOWED: dict[str, Range] = {'length': (0.0, 200.0), 'wander': (0.0, 5.0), 'jerks': (0.0, 1.0), 'noise': (0.0, 255.0)}
"""The values that each range may hold."""


@dataclass(frozen=True)
class MotionBlur:
    """How motion is drawn, for each picture anew: least and largest values, uniform.

    Attributes:
        length: Of the path in pixels.
        wander: Standard deviation of the change of direction in one pixel of the path, radians.
        jerks: How many there are in one pixel of the path, on average.
        noise: Standard deviation of the white noise behind the blur, 0..255 scale.
    """

    length: Range = (4.0, 20.0)
    wander: Range = (0.0, 0.6)
    jerks: Range = (0.0, 0.05)
    noise: Range = (0.0, 2.0)


@DATASET_REGISTRY.register()
class MotionBlurDataset(DegradedPictures):
    """Clean pictures (``gt``) and the same blurred by a camera that moves (``lq``), made anew at each access.

    The paths are those of Boracchi and Foi (2012), with which Kupyn et al. (DeblurGAN, CVPR 2018) train, told for each
    pixel of the path (:mod:`basicsr_snn.images.motion_blur`). One path blurs a whole picture; a little noise is added,
    and the picture rounded to 8 bits. Training crops are blurred together with what lies around them; at the borders of
    pictures that is mirrored. What is random follows from the same seeds as in
    :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`; in validation and test each picture
    has a path of its own, which follows from ``noise_seed`` and its place in the folder.

    Args:
        opt: the options of the dataset. ``dataroot_gt``, ``io_backend``, ``in_ch``, ``subset``, ``recursive``,
            ``cache``, ``noise_seed``, ``gt_size``, ``use_hflip``, ``use_rot`` and ``repeat`` are those of
            :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`. Its own are the least and
            the largest value of what is drawn for each picture, uniformly; the defaults are our choice:

            - ``length: [4, 20]``: of the path, in pixels.
            - ``wander: [0, 0.6]``: how much the direction changes in one pixel of the path, radians (standard
              deviation); 0 gives straight paths.
            - ``jerks: [0, 0.05]``: how often the motion is reversed, on average, in one pixel of the path.
            - ``noise: [0, 2]``: level of the white noise behind the blur, standard deviation on the 0..255 scale.

    An item holds what those of :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset` hold;
    ``sigma`` is the standard deviation of the difference, 0..255 scale.

    Raises:
        UserError: options that do not fit together, pictures that cannot be read.

    .. code-block:: yaml

        train:
          name: BSD432
          type: MotionBlurDataset
          dataroot_gt: datasets/BSD432
          gt_size: 64
          length: [4, 20]
          noise: [0, 2]
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        name = self.name_of(opt)
        self.motion = MotionBlur(**read_ranges(name, opt, ALLOWED, vars(MotionBlur)))
        self.margin = math.ceil(self.motion.length[1] / 2) + 1  # no point of a path is farther from its mean
        super().__init__(opt)

    def degraded(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        length, wander, jerks, noise = (rng.uniform(*limits) for limits in (
            self.motion.length, self.motion.wander, self.motion.jerks, self.motion.noise))
        blurry = blurred(clean, kernel_of(draw_path(length, wander, jerks, rng)))
        return blurry + np.float32(noise / 255) * rng.standard_normal(clean.shape, np.float32)
