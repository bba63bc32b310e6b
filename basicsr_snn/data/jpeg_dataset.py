"""Clean pictures and what JPEG of low quality makes of them, on the fly."""
from __future__ import annotations

from typing import Any

import numpy as np
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_snn.data.degraded_pictures import DegradedPictures
from basicsr_snn.data.ranges import Range, read_ranges
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import to_float, to_integers
from basicsr_snn.images.jpeg import SUBSAMPLINGS, stored_as_jpeg

ALLOWED: dict[str, Range] = {'quality': (1, 100)}
QUALITY: Range = (10, 40)
SUBSAMPLING = 420


@DATASET_REGISTRY.register()
class JPEGDataset(DegradedPictures):
    """Clean pictures (``gt``) and the same stored as JPEG (``lq``), made anew at each access.

    The encoder is OpenCV's (libjpeg-turbo) with the standard's tables. In training a crop is stored as a picture of its
    own, so its blocks of 8x8 begin in its corner. What is random follows from the same seeds as in
    :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`; in validation and test the quality
    of each picture follows from ``noise_seed`` and its place in the folder. The classic protocol (Dong et al., ARCNN,
    ICCV 2015) is ``in_ch: 1`` with one quality, such as ``quality: [10, 10]``.

    Args:
        opt: the options of the dataset. ``dataroot_gt``, ``io_backend``, ``in_ch``, ``subset``, ``recursive``,
            ``cache``, ``noise_seed``, ``gt_size``, ``use_hflip``, ``use_rot`` and ``repeat`` are those of
            :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`; with ``in_ch: 1`` pictures
            become luminance first, and are stored as grey JPEG. Its own:

            - ``quality: [10, 40]``: least and largest quality, 1 to 100; whole numbers, each with the same chance.
            - ``subsampling: 420``: how colours are stored: 420 at half the height and width, as most programs do, 422
              at half the width, 444 in full.

    An item holds what those of :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset` hold;
    ``sigma`` is the standard deviation of the difference, 0..255 scale.

    Raises:
        UserError: options that do not fit together, pictures that cannot be read.

    .. code-block:: yaml

        train:
          name: BSD432
          type: JPEGDataset
          dataroot_gt: datasets/BSD432
          gt_size: 64
          quality: [10, 40]
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        name = self.name_of(opt)
        self.quality = read_ranges(name, opt, ALLOWED, {'quality': QUALITY}).get('quality', QUALITY)
        self.subsampling = opt.get('subsampling', SUBSAMPLING)
        if self.subsampling not in tuple(SUBSAMPLINGS):
            raise UserError(f'{name}: `subsampling: {self.subsampling}` given, 420, 422 and 444 are allowed: write '
                            f'`subsampling: {SUBSAMPLING}`.')
        super().__init__(opt)

    def degraded(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        quality = int(rng.integers(self.quality[0], self.quality[1] + 1))
        return to_float(stored_as_jpeg(to_integers(clean), quality, self.subsampling))
