"""Noisy pictures of which nobody knows what they show without noise."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY
from torch import Tensor

from basicsr_snn.data.picture_options import PictureOptions
from basicsr_snn.data.picture_pairs import Pair, PictureDataset
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import to_float, to_tensor
from basicsr_snn.images.noise import HIGHEST_SIGMA
from basicsr_snn.images.noise_level import estimate_camera_noise

AUTO = 'auto'


@DATASET_REGISTRY.register()
class NoisyPicturesDataset(PictureDataset):
    """Noisy pictures (``lq``) without a truth, which a teacher teaches: ``model_type: ANNSNNDistillModel``.

    Losses to the truth leave them out, picture by picture, where they stand beside others in a
    :class:`~basicsr_snn.data.mixed_dataset.MixedDataset`.

    Args:
        opt: the options of the dataset. ``dataroot_lq`` is the folder or lmdb of the pictures; ``io_backend``,
            ``in_ch``, ``subset``, ``recursive``, ``cache``, ``gt_size``, ``use_hflip``, ``use_rot`` and ``repeat`` are
            those of :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`. Its own:

            - ``lq_mark: ''``: how the names of the pictures end, before the extension; others are left out, and
              ``subset`` does not count them. ``_real`` takes the noisy pictures of PolyU alone.
            - ``level: auto``: noise level on the 0..255 scale, which a teacher is told that takes one; ``auto``:
              estimated for each whole picture (:func:`~basicsr_snn.images.noise_level.estimate_camera_noise`).

    An item holds ``lq``, ``sigma`` (the level), ``lq_path`` and, in training, ``corner``; no ``gt``.

    Raises:
        UserError: options that do not fit together, no pictures, pictures that cannot be read.

    .. code-block:: yaml

        train:
          name: PolyU_noisy
          type: NoisyPicturesDataset
          dataroot_lq: datasets/PolyU
          lq_mark: _real
          gt_size: 64
    """

    has_truth = False

    def __init__(self, opt: dict[str, Any]) -> None:
        options = PictureOptions.from_opt(opt, 'NoisyPicturesDataset', root='dataroot_lq')
        self._mark = opt.get('lq_mark', '')
        if not isinstance(self._mark, str):
            raise UserError(f'{options.name}: `lq_mark: {self._mark}` given, what names end on is allowed: write '
                            '`lq_mark: _real`, or leave it out for all pictures.')
        self._level = _checked_level(options.name, opt.get('level', AUTO))
        self._estimated: dict[int, float] = {}
        super().__init__(opt, options)

    def listed(self) -> Sequence[int]:
        if not self._mark:
            return super().listed()
        marked = sorted(self.marked(self._mark).values())
        if not marked:
            raise UserError(f'{self.options.name}: {self.options.root} holds no pictures whose names end on '
                            f'{self._mark}; write lq_mark as its names have it, or leave it out for all pictures.')
        chosen = self.subset_of(len(marked))
        return marked[chosen.start:chosen.stop]

    def training_pair(self, picture: np.ndarray, index: int) -> Pair:
        return to_tensor(to_float(self.augmented_crop(picture))), None, self.level(picture, index)

    def test_pair(self, picture: np.ndarray, index: int) -> Pair:
        return to_tensor(to_float(picture)), None, self.level(picture, index)

    def level(self, picture: np.ndarray, index: int) -> Tensor:
        """The noise level of a decoded picture, which is estimated once."""
        if isinstance(self._level, float):
            return torch.tensor(self._level)
        if index not in self._estimated:
            self._estimated[index] = estimate_camera_noise(to_float(picture))
        return torch.tensor(self._estimated[index])


def _checked_level(name: str, level: Any) -> float | str:
    if level == AUTO:
        return AUTO
    if not isinstance(level, int | float) or isinstance(level, bool) or not 0 <= level <= HIGHEST_SIGMA:
        raise UserError(f'{name}: `level: {level}` given, auto and numbers from 0 to {HIGHEST_SIGMA:g} are allowed: '
                        'write `level: 10`.')
    return float(level)
