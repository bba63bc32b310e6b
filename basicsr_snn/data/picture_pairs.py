"""Pairs of a noisy and a clean picture, for training as crops: what all datasets of ours do alike."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from basicsr.utils import get_root_logger
from torch import Tensor

from basicsr_snn.data.draws import DrawnDataset, seeded_by
from basicsr_snn.data.picture_cache import PictureCache
from basicsr_snn.data.picture_options import PictureOptions
from basicsr_snn.data.picture_source import PictureSource, open_source
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import EXTENSIONS, to_channels

CACHE_LIMIT = 1_000_000_000
Pair = tuple[Tensor, Tensor | None, Tensor]
"""Noisy and clean picture, (C, H, W) float32, and the noise level of the pair on the 0..255 scale, a float32 scalar.
The clean one is None in datasets that know no truth."""


class PictureDataset(DrawnDataset):
    """Pictures of a folder or an lmdb, of which each item is a pair: noisy (``lq``) and clean (``gt``).

    Here are the list of pictures, its subset, the cache of decoded pictures, crops and their symmetries. A subclass
    says how a pair is made of a picture: in :meth:`training_pair`, where all that is random comes from torch's
    generator, and in :meth:`test_pair`, which gives the same at each access.

    Args:
        opt: The options of the dataset, as BasicSR has them.
        options: The same, checked.
    """

    has_truth = True
    """Whether there are clean pictures."""

    _corner = 0, 0
    """Row and column of the last crop."""

    def __init__(self, opt: dict[str, Any], options: PictureOptions) -> None:
        super().__init__()
        self.opt = opt  # BasicSR's validation reads dataset.opt['name']
        self.options = options
        self.source: PictureSource = open_source(options.root, options.recursive)
        self.indices = self.listed()
        self.check_sizes()
        self._refuse_grey_ones()
        self._cached = self._decode_all() if self._cache_wanted() else None

    def training_pair(self, picture: np.ndarray, index: int) -> Pair:
        """A random crop of a decoded picture, (H, W, :attr:`channels`), as a pair; ``index`` is its place in the whole
        source."""
        raise NotImplementedError

    def test_pair(self, picture: np.ndarray, index: int) -> Pair:
        """A whole decoded picture as a pair."""
        raise NotImplementedError

    @property
    def channels(self) -> int:
        """Channels of a decoded picture."""
        return self.options.in_ch

    def listed(self) -> Sequence[int]:
        """Indices in the source of the pictures that the dataset shows."""
        return self.subset_of(len(self.source.names))

    def decode(self, index: int) -> np.ndarray:
        """A picture of the source, (H, W, :attr:`channels`)."""
        return self.as_channels(self.read(index), self.source.names[index])

    def as_channels(self, picture: np.ndarray, name: str) -> np.ndarray:
        """A picture with the channels that are asked for."""
        return to_channels(picture, self.options.in_ch, name)

    def __len__(self) -> int:
        return len(self.indices) * self.options.repeat

    def __getitem__(self, index: int) -> dict[str, Any]:
        position = range(len(self))[index] % len(self.indices)  # the range refuses an index beyond the end
        place = self.indices[position]
        picture = self.decode(place) if self._cached is None else self._cached[position]
        if self.options.train:
            with seeded_by(index):
                lq, gt, sigma = self.training_pair(picture, place)
            of_crop = {'corner': torch.tensor(self._corner)}
        else:
            lq, gt, sigma = self.test_pair(picture, place)
            of_crop = {}
        of_truth = {} if gt is None else {'gt': gt, 'gt_path': self.source.names[place]}
        return {'lq': lq, 'sigma': sigma, 'lq_path': self.noisy_name(place), **of_truth, **of_crop}

    def noisy_name(self, index: int) -> str:
        """What the noisy picture of a clean one is called."""
        return self.source.names[index]

    def marked(self, mark: str) -> dict[str, int]:
        """The pictures of the source whose names end on a mark, before the extension: the name without it, and the
        index."""
        stems = {_without_extension(name): index for index, name in enumerate(self.source.names)}
        return {stem.removesuffix(mark): index for stem, index in stems.items() if stem.endswith(mark)}

    def subset_of(self, count: int) -> range:
        """The part of ``count`` pictures that ``subset`` asks for."""
        if self.options.subset is None:
            return range(count)
        start, stop = self.options.subset
        if stop > count:
            raise UserError(f'{self.options.name}: `subset: [{start}, {stop}]` reaches beyond the {count} pictures of '
                            f'{self.options.root}: write a stop of at most {count}.')
        return range(start, stop)

    def check_sizes(self) -> None:
        """Refuse what is no picture, declares too many pixels or is smaller than a crop, by the headers."""
        for index in self.indices:
            self._check_size(self.source.names[index], *self.source.size(index))

    def _refuse_grey_ones(self) -> None:
        """A grey picture among others of which colour is wanted is refused now, and not when its turn comes."""
        for index in self.indices if self.options.in_ch > 1 else ():
            if self.source.may_be_grey(index):
                self.decode(index)

    def _check_size(self, name: str, height: int, width: int) -> None:
        side = self.options.gt_size
        if min(height, width) < side:
            raise UserError(f'{self.options.name}: {name} has {width}x{height} pixels, less than the crop of '
                            f'{side}x{side}: write `gt_size: {min(height, width)}`, or leave that picture out.')

    def decoded(self) -> list[np.ndarray]:
        """All pictures, (H, W, :attr:`channels`)."""
        if self._cached is not None:
            return [self._cached[position] for position in range(len(self.indices))]
        return [self.decode(index) for index in self.indices]

    def _cache_wanted(self) -> bool:
        if self.options.cache is not None:
            return self.options.cache
        return self.options.train and self._decoded_bytes() <= CACHE_LIMIT

    def _decoded_bytes(self) -> int:
        """Memory of all decoded pictures at 8 bits a channel."""
        sizes = (self.source.size(index) for index in self.indices)
        return sum(height * width for height, width in sizes) * self.channels

    def _decode_all(self) -> PictureCache:
        # Here in the parent process, since what a worker decodes is lost at the end of its epoch.
        pictures = PictureCache(self.decode(index) for index in self.indices)
        get_root_logger().info(f'{self.options.name}: {len(pictures)} decoded pictures kept in memory '
                               f'({pictures.nbytes / 1e6:.1f} MB); `cache: false` reads them anew each time.')
        return pictures

    def read(self, index: int) -> np.ndarray:
        """A picture as it is stored, not smaller than a crop."""
        picture = self.source.read(index)
        self._check_size(self.source.names[index], *picture.shape[:2])  # it may have changed since the start
        return picture

    def augmented_crop(self, picture: np.ndarray, side: int | None = None) -> np.ndarray:
        """A random crop, (side, side, C), in one of its symmetries; the side is ``gt_size`` by default."""
        side = side or self.options.gt_size
        height, width = picture.shape[:2]
        top, left = int(torch.randint(height - side + 1, ())), int(torch.randint(width - side + 1, ()))
        self._corner = top, left
        mirror, upside_down, transpose = torch.randint(2, (3,)).tolist()
        return augment(picture[top:top + side, left:left + side],
                       mirror=bool(mirror) and self.options.use_hflip,
                       upside_down=bool(upside_down) and self.options.use_rot,
                       transpose=bool(transpose) and self.options.use_rot)


def augment(picture: np.ndarray, mirror: bool, upside_down: bool, transpose: bool) -> np.ndarray:
    """One of the 8 symmetries of the square, as a view: (H, W, C) to (H, W, C), or (W, H, C) where transposed."""
    if mirror:
        picture = picture[:, ::-1]
    if upside_down:
        picture = picture[::-1]
    return picture.transpose(1, 0, 2) if transpose else picture


def _without_extension(name: str) -> str:
    path = PurePath(name)
    return str(path.with_suffix('')) if path.suffix.lower() in EXTENSIONS else name
