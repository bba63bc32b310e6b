"""Pairs of a real noisy photograph and the mean of many exposures of it, side by side in one folder."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_snn.data.picture_options import PictureOptions
from basicsr_snn.data.picture_pairs import Pair, PictureDataset
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import to_float, to_tensor

MARKS = {'gt_mark': '_mean', 'lq_mark': '_real'}


@DATASET_REGISTRY.register()
class RealPairsDataset(PictureDataset):
    """Real noisy pictures (``lq``) and what they show without noise (``gt``): ``NAME_real.JPG`` and ``NAME_mean.JPG``.

    Args:
        opt: the options of the dataset. ``dataroot_gt`` (the folder or lmdb of both), ``io_backend``, ``in_ch``,
            ``subset``, ``recursive``, ``cache``, ``gt_size``, ``use_hflip``, ``use_rot`` and ``repeat`` are those of
            :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`. ``subset`` counts pairs in
            the order of their names; let it end where a scene ends, as crops of one scene are alike. Its own:

            - ``gt_mark: _mean``, ``lq_mark: _real``: how the names of clean and noisy pictures end, before the
              extension; the defaults are those of PolyU. Pictures whose names end otherwise are left out.

    An item holds what those of :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset` hold;
    ``sigma`` is the standard deviation of the difference, 0..255 scale.

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
        options = PictureOptions.from_opt(opt, 'RealPairsDataset')
        self._clean_mark, self._noisy_mark = (_mark(options, opt, key) for key in MARKS)
        if self._clean_mark == self._noisy_mark:
            raise UserError(f'{options.name}: gt_mark and lq_mark are both {self._clean_mark}, but clean and noisy '
                            'pictures must differ by them; write them as the names of the pictures have them.')
        super().__init__(opt, options)

    @property
    def channels(self) -> int:
        return 2 * self.options.in_ch

    def listed(self) -> Sequence[int]:
        clean, noisy = self.marked(self._clean_mark), self.marked(self._noisy_mark)
        where = f'{self.options.name}: {self.options.root}'
        if not clean and not noisy:
            raise UserError(f'{where} holds no pictures whose names end on {self._clean_mark} and {self._noisy_mark}; '
                            'write gt_mark and lq_mark as its names have them.')
        for name in sorted(clean.keys() ^ noisy.keys()):
            there, missing = (self._clean_mark, self._noisy_mark)[::1 if name in clean else -1]
            raise UserError(f'{where} holds {PurePath(name).name}{there}, but no {PurePath(name).name}{missing}, the '
                            'other picture of the pair; put it there, or take the one out.')
        self._noisy_of = {clean[name]: noisy[name] for name in clean}
        chosen = self.subset_of(len(clean))
        return sorted(self._noisy_of)[chosen.start:chosen.stop]

    def noisy_name(self, index: int) -> str:
        return self.source.names[self._noisy_of[index]]

    def check_sizes(self) -> None:
        super().check_sizes()
        for index in self.indices:
            self._check_alike(index, self.source.size(index), self.source.size(self._noisy_of[index]))

    def decode(self, index: int) -> np.ndarray:
        """Both pictures, one behind the other, (H, W, 2 * C)."""
        both = [self.as_channels(self.read(place), self.source.names[place])
                for place in (index, self._noisy_of[index])]
        self._check_alike(index, *((*one.shape[:2], 8 * one.dtype.itemsize) for one in both))
        return np.concatenate(both, axis=2)

    def _check_alike(self, index: int, clean: tuple[int, ...], noisy: tuple[int, ...]) -> None:
        if clean != noisy:
            kinds = ['x'.join(map(str, (one[1], one[0]))) + (f' of {one[2]} bits' if len(one) > 2 else '')
                     for one in (clean, noisy)]
            raise UserError(f'{self.options.name}: {self.source.names[index]} has {kinds[0]} pixels and '
                            f'{self.noisy_name(index)} has {kinds[1]}, but the two of a pair must be alike; take the '
                            'pair out.')

    def training_pair(self, picture: np.ndarray, index: int) -> Pair:
        return self._pair(self.augmented_crop(picture))

    def test_pair(self, picture: np.ndarray, index: int) -> Pair:
        return self._pair(picture)

    def _pair(self, both: np.ndarray) -> Pair:
        gt, lq = (to_tensor(to_float(one)) for one in np.split(both, 2, axis=2))
        return lq, gt, (255 * (lq - gt).square().mean().sqrt()).to(torch.float32)


def _mark(options: PictureOptions, opt: dict[str, Any], key: str) -> str:
    mark = opt.get(key, MARKS[key])
    if not isinstance(mark, str) or not mark:
        raise UserError(f'{options.name}: `{key}: {mark}` given, what names end on is allowed: write `{key}: '
                        f'{MARKS[key]}`.')
    return mark
