"""Sharp pictures and the same made smaller on the fly."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_snn.data.picture_options import PictureOptions
from basicsr_snn.data.picture_pairs import Pair, PictureDataset
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import to_float, to_integers, to_tensor
from basicsr_snn.images.shrinking import reach_of, shrunk


@DATASET_REGISTRY.register()
class SuperResolutionDataset(PictureDataset):
    """Sharp pictures (``gt``) and the same in 1 / ``scale`` of their size (``lq``), made anew at each access.

    Made smaller by MATLAB's bicubic interpolation and rounded to 8 bits, as the files of the field's tests were
    (:mod:`basicsr_snn.images.shrinking`). Training: the small crop is cut out of a larger one, so that its borders are
    those of a small picture. Validation and test: the whole picture, less the rows and columns beyond the last multiple
    of ``scale``. What is random follows from the same seeds as in
    :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`.

    Args:
        opt: the options of the dataset. ``dataroot_gt``, ``io_backend``, ``in_ch``, ``subset``, ``recursive``,
            ``cache``, ``gt_size``, ``use_hflip``, ``use_rot`` and ``repeat`` are those of
            :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`; ``gt_size`` is the side of
            the sharp crop, a multiple of ``scale``. Its own:

            - ``scale``: 2 or more; BasicSR takes it from the top of the option file.

    An item holds what those of :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset` hold;
    ``sigma`` is 0.

    Raises:
        UserError: options that do not fit together, pictures that cannot be read.

    .. code-block:: yaml

        scale: 2
        datasets:
          train:
            name: BSD432
            type: SuperResolutionDataset
            dataroot_gt: datasets/BSD432
            gt_size: 96
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        options = PictureOptions.from_opt(opt, 'SuperResolutionDataset')
        self.scale = _scale(options, opt)
        super().__init__(opt, options)

    def training_pair(self, picture: np.ndarray, index: int) -> Pair:
        side, scale = self.options.gt_size, self.scale
        room = (min(picture.shape[:2]) - side) // 2
        margin = min(reach_of(scale), room // scale * scale)
        sharp, small = self._both(self.augmented_crop(picture, side + 2 * margin))
        first = margin // scale
        last = first + side // scale
        return self._pair(sharp[margin:margin + side, margin:margin + side], small[first:last, first:last])

    def test_pair(self, picture: np.ndarray, index: int) -> Pair:
        height, width = (length // self.scale * self.scale for length in picture.shape[:2])
        if not height * width:
            raise UserError(f'{self.options.name}: {self.source.names[index]} has {picture.shape[1]}x'
                            f'{picture.shape[0]} pixels, none of which is left at scale: {self.scale}; leave that '
                            'picture out.')
        return self._pair(*self._both(picture[:height, :width]))

    def _both(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sharp = to_float(picture)
        return sharp, to_float(to_integers(shrunk(sharp, self.scale)))

    def _pair(self, sharp: np.ndarray, small: np.ndarray) -> Pair:
        return to_tensor(small), to_tensor(sharp), torch.zeros(())


def _scale(options: PictureOptions, opt: Mapping[str, Any]) -> int:
    scale = opt.get('scale')
    if not isinstance(scale, int) or isinstance(scale, bool) or scale < 2:
        raise UserError(f'{options.name}: `scale: {scale}` given, a whole number of at least 2 is allowed: write for '
                        'example `scale: 2` at the top of the option file.')
    if options.gt_size % scale:
        raise UserError(f'{options.name}: `gt_size: {options.gt_size}` given, a multiple of scale: {scale} is allowed: '
                        f'write `gt_size: {max(1, options.gt_size // scale) * scale}`.')
    return scale
