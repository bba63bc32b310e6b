"""Pairs of a real noisy photograph and the mean of many exposures of it, side by side in one folder."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY
from torch import Tensor

from basicsr_snn.data.gaussian_denoising_dataset import GaussianDenoisingDataset
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import to_channels, to_float, to_tensor


@DATASET_REGISTRY.register()
class RealPairsDataset(GaussianDenoisingDataset):
    """Real noisy pictures (``lq``) and what they show without noise (``gt``): ``NAME_real.JPG`` and ``NAME_mean.JPG``.

    Crops, flips, seeds, subsets and cache are those of :class:`GaussianDenoisingDataset`. ``subset`` counts pairs in
    the order of their names; let it end where a scene ends, as crops of one scene are alike.

    Args:
        opt: the options of the dataset: those of :class:`GaussianDenoisingDataset` but for the noise level, and

            - ``gt_mark``, ``lq_mark``: what the names of clean and noisy pictures hold where they differ; default
              ``_mean`` and ``_real``, those of PolyU.

    An item holds what those of :class:`GaussianDenoisingDataset` hold; ``sigma`` is the standard deviation of the
    difference, 0..255 scale.

    Raises:
        UserError: no pairs, a picture without its other, two of different sizes.

    .. code-block:: yaml

        train:
          name: PolyU
          type: RealPairsDataset
          dataroot_gt: datasets/PolyU
          gt_size: 64
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        self._marks = opt.get('gt_mark', '_mean'), opt.get('lq_mark', '_real')
        super().__init__({**opt, 'sigma': 0})
        self.opt = opt

    def _subset(self) -> Sequence[int]:
        clean, noisy = self._marks
        by_name = {name: place for place, name in enumerate(self.source.names)}
        pairs = [(name, name.replace(clean, noisy)) for name in self.source.names if clean in name]
        if not pairs:
            raise UserError(f'{self.options.name}: {self.options.root} holds no picture with {clean} in its name; '
                            'write gt_mark and lq_mark as its names have them.')
        alone = [other for _, other in pairs if other not in by_name]
        if alone:
            raise UserError(f'{self.options.name}: {alone[0]} is missing, the noisy picture of a pair; put it there, '
                            'or take its other out.')
        self._noisy_of = {by_name[name]: by_name[other] for name, other in pairs}
        chosen = self._subset_of(len(pairs))
        return sorted(self._noisy_of)[chosen.start:chosen.stop]

    def _decode(self, position: int) -> np.ndarray:
        """Both pictures, one behind the other, (H, W, 2 * C)."""
        index = self.indices[position]
        both = [to_channels(self.source.read(place), self.options.in_ch, self.source.names[place])
                for place in (index, self._noisy_of[index])]
        if both[0].shape != both[1].shape:
            raise UserError(f'{self.options.name}: {self.source.names[index]} and its noisy picture differ in size; '
                            'take the pair out.')
        return np.concatenate(both, axis=2)

    def _training_pair(self, picture: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        return self._test_pair(np.ascontiguousarray(self._augmented_crop(picture)))

    def _test_pair(self, picture: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        gt, lq = (to_tensor(to_float(one)) for one in np.split(picture, 2, axis=2))
        return lq, gt, 255 * (lq - gt).square().mean().sqrt().to(torch.float32)
