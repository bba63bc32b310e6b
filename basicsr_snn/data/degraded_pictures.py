"""Pairs of which the degraded picture is made on the fly: what such datasets do alike."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch

from basicsr_snn.data.picture_options import PictureOptions, read_noise_seed
from basicsr_snn.data.picture_pairs import Pair, PictureDataset
from basicsr_snn.images.files import to_float, to_integers, to_tensor


class DegradedPictures(PictureDataset):
    """Clean pictures (``gt``) and what a degradation makes of them (``lq``), made anew at each access.

    A subclass says in :meth:`degraded` what becomes of a picture. What that draws at random follows in training from
    the seed of the item, and in validation and test from ``noise_seed`` and the place of the picture in its folder:
    each picture has a degradation of its own, the same at each access. Degraded pictures are clipped and rounded to 8
    bits, as files are.

    Args:
        opt: The options of the dataset, as BasicSR has them.
    """

    margin = 0
    """How many pixels around a crop have a part in what the degradation makes of it."""

    def __init__(self, opt: dict[str, Any]) -> None:
        options = PictureOptions.from_opt(opt, type(self).__name__)
        self.noise_seed = read_noise_seed(options, opt)
        super().__init__(opt, options)

    @classmethod
    def name_of(cls, opt: dict[str, Any]) -> str:
        """What messages call a dataset of these options: its name, or that of the class."""
        return str(opt.get('name', cls.__name__))

    def degraded(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A degraded picture; both are (H, W, C) float32 in 0..1, the degraded one not yet clipped."""
        raise NotImplementedError

    def training_pair(self, picture: np.ndarray, index: int) -> Pair:
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        side = self.options.gt_size
        larger = min(side + 2 * self.margin, *picture.shape[:2])
        before = (larger - side) // 2
        inner = slice(before, before + side)
        clean = to_float(self.augmented_crop(picture, larger))
        self._corner = self._corner[0] + before, self._corner[1] + before
        return _pair(clean[inner, inner], self.degraded(clean, rng)[inner, inner])

    def test_pair(self, picture: np.ndarray, index: int) -> Pair:
        clean = to_float(picture)
        return _pair(clean, self.degraded(clean, np.random.default_rng((self.noise_seed, index))))


def _pair(clean: np.ndarray, degraded: np.ndarray) -> Pair:
    stored = to_float(to_integers(degraded))
    difference = 255 * float(np.sqrt(np.square(stored - clean).mean()))
    return to_tensor(stored), to_tensor(clean), torch.tensor(difference, dtype=torch.float32)
