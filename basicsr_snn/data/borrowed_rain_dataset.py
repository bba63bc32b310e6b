"""Clean pictures with the rain of other pairs added on the fly."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_snn.data.degraded_pictures import DegradedPictures
from basicsr_snn.data.picture_source import PictureSource, open_source
from basicsr_snn.errors import UserError
from basicsr_snn.images.rain import light_of_rain, with_streaks

FOLDERS = ('dataroot_rainy', 'dataroot_dry')
PLACES = 8
"""From how many places of a pair the best is taken."""


@DATASET_REGISTRY.register()
class BorrowedRainDataset(DegradedPictures):
    """Clean pictures (``gt``) and the same in the rain of other pairs (``lq``), made anew at each access.

    A few pairs of a rainy and a dry picture tell what the rain of a data set is like, but show few things behind it.
    What rain adds to their pictures is added here to any other picture, from a random place, mirrored at random left to
    right and top to bottom (our choice). Only for rain that is added, as in Rain100H; what was clipped to white is not
    known, so of a few places the one with the least of it is taken. What is random follows from the same seeds as in
    :class:`~basicsr_snn.data.rain_streaks_dataset.RainStreaksDataset`.

    Args:
        opt: the options of the dataset. ``dataroot_gt``, ``io_backend``, ``in_ch``, ``subset``, ``recursive``,
            ``cache``, ``noise_seed``, ``gt_size``, ``use_hflip``, ``use_rot`` and ``repeat`` are those of
            :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`. Its own:

            - ``dataroot_rainy``, ``dataroot_dry``: folders (or lmdbs) of the pairs, in both of which a picture has the
              same place in the order of names, 8 bits.

    An item holds what those of :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset` hold;
    ``sigma`` is the standard deviation of the difference, 0..255 scale.

    Raises:
        UserError: options that do not fit together, pictures that cannot be read, pairs that are none.

    .. code-block:: yaml

        train:
          name: BSD432
          type: BorrowedRainDataset
          dataroot_gt: datasets/BSD432
          dataroot_rainy: datasets/Rain100H_train15/rainy
          dataroot_dry: datasets/Rain100H_train15/clean
          gt_size: 64
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        name = self.name_of(opt)
        for key in FOLDERS:
            if not opt.get(key):
                raise UserError(f'{name}: `{key}` is missing: write the folder of rainy pictures as `dataroot_rainy`, '
                                'and that of the same without rain as `dataroot_dry`.')
        rainy, dry = (open_source(Path(opt[key]).expanduser()) for key in FOLDERS)
        self.layers = _layers(name, rainy, dry)
        super().__init__(opt)

    def degraded(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = clean.shape[:2]
        layer = self.layers[int(rng.integers(len(self.layers)))][::rng.choice((1, -1)), ::rng.choice((1, -1))]
        missing = [(0, max(0, wanted - given)) for wanted, given in zip((height, width), layer.shape, strict=False)]
        layer = np.pad(layer, [*missing, (0, 0)], 'symmetric')
        tops, lefts = (rng.integers(given - wanted + 1, size=PLACES).tolist()
                       for wanted, given in zip((height, width), layer.shape, strict=False))
        places = [layer[top:top + height, left:left + width] for top, left in zip(tops, lefts, strict=True)]
        best = min(places, key=lambda place: np.count_nonzero(place[..., 1]))
        return with_streaks(clean, best[..., 0].astype(np.float32) / 255)


def _layers(name: str, rainy: PictureSource, dry: PictureSource) -> list[np.ndarray]:
    """What rain adds in each pair, and where that was clipped, (H, W, 2) uint8."""
    if len(rainy.names) != len(dry.names):
        raise UserError(f'{name}: dataroot_rainy holds {len(rainy.names)} pictures and dataroot_dry {len(dry.names)}, '
                        'but they must be pairs; take out what has no other.')
    layers = []
    for index, (rainy_name, dry_name) in enumerate(zip(rainy.names, dry.names, strict=True)):
        pair = rainy.read(index), dry.read(index)
        if pair[0].shape != pair[1].shape or pair[0].dtype != np.uint8 or pair[1].dtype != np.uint8:
            raise UserError(f'{name}: {rainy_name} and {dry_name} are no pair: both must have the same size and '
                            'colours of 8 bits; take the pair out.')
        light, clipped = light_of_rain(*pair)
        layers.append(np.dstack([light, clipped]).astype(np.uint8))
    return layers
