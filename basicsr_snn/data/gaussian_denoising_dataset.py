"""Clean pictures with Gaussian noise added on the fly."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from basicsr.utils import get_root_logger
from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils.data import Dataset

from basicsr_snn.data.draws import seeded_by
from basicsr_snn.data.picture_cache import PictureCache
from basicsr_snn.data.picture_source import PictureSource, open_source
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import to_channels, to_float, to_tensor
from basicsr_snn.images.noise import NoiseLevel, add_gaussian_noise, add_training_noise

PHASES = ('train', 'val', 'test')
TRAIN_ONLY = ('gt_size', 'use_hflip', 'use_rot', 'repeat')
CACHE_LIMIT = 1_000_000_000


@DATASET_REGISTRY.register()
class GaussianDenoisingDataset(Dataset):
    """Clean pictures (``gt``) and the same with white Gaussian noise (``lq``), made anew at each access.

    Training: a random crop, one of the 8 flips and quarter turns, then fresh noise, neither clipped nor rounded.
    Validation and test: the whole picture with the noise of a generator that starts from ``noise_seed`` for each
    picture, drawn on the (H, W, C) RGB array (Restormer's protocol), so that results compare between networks and
    papers.

    All randomness of training comes from torch's generator. In ``basicsr-snn train`` it starts, for each item, from the
    seed that :class:`basicsr_snn.data.draws.Draw` brings along, which follows from ``manual_seed``, epoch and place in
    the epoch: processes, workers and a resume change no sample. With a sampler of plain indices a DataLoader seeds it
    anew for each worker and epoch. (BasicSR's ``worker_init_fn`` seeds NumPy and ``random`` alike whenever workers
    start: draws from those would repeat the same crops and noise in each epoch.)

    Args:
        opt: the options of the dataset:

            - ``dataroot_gt``: folder of pictures, or an lmdb (a path that ends in ``.lmdb``). 8- or 16-bit files.
            - ``io_backend: {type: disk | lmdb}``: optional, told by the path; checked against it.
            - ``in_ch``: 3 (RGB, default) or 1 (grey; colour is turned into BT.601 luminance).
            - one of ``sigma: 25`` (fixed), ``sigma_range: [0, 55]`` (uniform), ``sigma_list: [15, 25, 50]`` (one of
              them), on the 0..255 scale. Only a fixed level outside training.
            - ``phase``: train, val or test; BasicSR sets it.
            - ``subset: [start, stop]``: only these pictures of the sorted list, ``stop`` excluded, to split one folder.
            - ``recursive``: also the sub-folders; default false.
            - ``cache``: keep the decoded pictures in memory (shared by the workers). Default for training: true where
              they take at most 1 GB; otherwise false.
            - ``noise_seed``: validation and test; default 0.
            - ``gt_size``: training, required: side of the square crop.
            - ``use_hflip``, ``use_rot``: training; mirror left-right; mirror top-bottom and transpose. Default true:
              all 8 symmetries.
            - ``repeat``: training; the epoch holds each picture this often. Default 1.

    An item holds ``lq`` and ``gt`` (float32 tensors (C, H, W), RGB or grey; ``gt`` in 0..1), ``sigma`` (float32 scalar
    tensor, 0..255 scale), ``lq_path`` and ``gt_path`` (the file, or the key in an lmdb).

    Raises:
        UserError: options that do not fit together, a missing or empty folder, a picture that cannot be read or used.

    .. code-block:: yaml

        train:
          name: BSD432
          type: GaussianDenoisingDataset
          dataroot_gt: datasets/BSD432
          sigma: 25
          gt_size: 64
          use_hflip: true
          use_rot: true
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__()
        self.opt = opt  # BasicSR's validation reads dataset.opt['name']
        self.options = _Options.from_opt(opt)
        self.source: PictureSource = open_source(self.options.root, self.options.recursive)
        self.indices = self._subset()
        if self.options.train:
            self._check_sizes()
        self._cached = self._decode_all() if self._cache_wanted() else None

    def __len__(self) -> int:
        return len(self.indices) * self.options.repeat

    def __getitem__(self, index: int) -> dict[str, Any]:
        position = range(len(self))[index] % len(self.indices)  # the range refuses an index beyond the end
        picture = self._decode(position) if self._cached is None else self._cached[position]
        name = self.source.names[self.indices[position]]
        if self.options.train:
            with seeded_by(index):
                lq, gt, sigma = self._training_pair(picture)
        else:
            lq, gt, sigma = self._test_pair(picture)
        return {'lq': lq, 'gt': gt, 'sigma': sigma, 'lq_path': name, 'gt_path': name}

    def _training_pair(self, picture: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        sigma = self.options.noise.draw()
        # Channels first while the pixels are bytes: to move floats takes up to three times as long.
        crop = np.ascontiguousarray(self._augmented_crop(picture).transpose(2, 0, 1))
        gt = torch.from_numpy(to_float(crop))
        return add_training_noise(gt, sigma), gt, sigma

    def _test_pair(self, picture: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        clean, noise = to_float(picture), self.options.noise
        noisy = add_gaussian_noise(clean, noise.values[0], self.options.noise_seed)
        return to_tensor(noisy), to_tensor(clean), noise.draw()

    def _subset(self) -> range:
        count = len(self.source.names)
        if self.options.subset is None:
            return range(count)
        start, stop = self.options.subset
        if stop > count:
            raise UserError(f'{self.options.name}: `subset: [{start}, {stop}]` reaches beyond the {count} pictures of '
                            f'{self.options.root}: write a stop of at most {count}.')
        return range(start, stop)

    def _check_sizes(self) -> None:
        for index in self.indices:
            self._check_size(self.source.names[index], *self.source.size(index))

    def _check_size(self, name: str, height: int, width: int) -> None:
        side = self.options.gt_size
        if min(height, width) < side:
            raise UserError(f'{self.options.name}: {name} has {width}x{height} pixels, less than the crop of '
                            f'{side}x{side}: write `gt_size: {min(height, width)}`, or leave that picture out.')

    def _cache_wanted(self) -> bool:
        if self.options.cache is not None:
            return self.options.cache
        return self.options.train and self._decoded_bytes() <= CACHE_LIMIT

    def _decoded_bytes(self) -> int:
        """Memory of all decoded pictures at 8 bits a channel."""
        sizes = (self.source.size(index) for index in self.indices)
        return sum(height * width for height, width in sizes) * self.options.in_ch

    def _decode_all(self) -> PictureCache:
        # Here in the parent process, since what a worker decodes is lost at the end of its epoch.
        pictures = PictureCache(self._decode(position) for position in range(len(self.indices)))
        get_root_logger().info(f'{self.options.name}: {len(pictures)} decoded pictures kept in memory '
                               f'({pictures.nbytes / 1e6:.1f} MB); `cache: false` reads them anew each time.')
        return pictures

    def _decode(self, position: int) -> np.ndarray:
        index = self.indices[position]
        picture = self.source.read(index)
        self._check_size(self.source.names[index], *picture.shape[:2])  # it may have changed since the start
        return to_channels(picture, self.options.in_ch, self.source.names[index])

    def _augmented_crop(self, picture: np.ndarray) -> np.ndarray:
        side = self.options.gt_size
        height, width = picture.shape[:2]
        top, left = int(torch.randint(height - side + 1, ())), int(torch.randint(width - side + 1, ()))
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


@dataclass(frozen=True)
class _Options:
    """The checked options of a :class:`GaussianDenoisingDataset`."""

    name: str
    root: Path
    train: bool
    noise: NoiseLevel
    in_ch: int
    gt_size: int
    use_hflip: bool
    use_rot: bool
    repeat: int
    cache: bool | None
    recursive: bool
    subset: tuple[int, int] | None
    noise_seed: int

    @classmethod
    def from_opt(cls, opt: Mapping[str, Any]) -> _Options:
        name = str(opt.get('name', 'GaussianDenoisingDataset'))
        train = _phase(name, opt) == 'train'
        return cls(
            name=name, root=_root(name, opt), train=train, noise=_noise(name, opt, train),
            in_ch=_in_ch(name, opt), gt_size=_whole(name, opt, 'gt_size', 64, required=True) if train else 0,
            use_hflip=bool(_yes_no(name, opt, 'use_hflip', True)), use_rot=bool(_yes_no(name, opt, 'use_rot', True)),
            repeat=_whole(name, opt, 'repeat', 1), cache=_yes_no(name, opt, 'cache', None),
            recursive=bool(_yes_no(name, opt, 'recursive', False)), subset=_subset(name, opt),
            noise_seed=_whole(name, opt, 'noise_seed', 0, lowest=0))


def _phase(name: str, opt: Mapping[str, Any]) -> str:
    phase = opt.get('phase')
    if phase not in PHASES:
        raise UserError(f'{name}: `phase: {phase}` given, {", ".join(PHASES)} are allowed: BasicSR takes it from the '
                        'key above the dataset, so write it below `train:`, `val:` or `test_1:`.')
    given = [key for key in TRAIN_ONLY if key in opt] if phase != 'train' else []
    if given:
        raise UserError(f'{name}: `{given[0]}` is for training and has no effect in {phase}, where whole pictures are '
                        'taken as they are: leave it out.')
    if phase == 'train' and 'noise_seed' in opt:
        raise UserError(f'{name}: `noise_seed` is for validation and test: leave it out, and set `manual_seed` at the '
                        'top of the option file to repeat a training run.')
    return phase


def _root(name: str, opt: Mapping[str, Any]) -> Path:
    given = opt.get('dataroot_gt')
    if not given:
        raise UserError(f'{name}: `dataroot_gt` is missing: write the folder of clean pictures, as in `dataroot_gt: '
                        'datasets/BSD432`.')
    root = Path(given).expanduser()
    implied = 'lmdb' if root.suffix == '.lmdb' else 'disk'
    backend = (opt.get('io_backend') or {}).get('type', implied)
    if backend not in ('disk', 'lmdb'):
        raise UserError(f'{name}: `io_backend: {{type: {backend}}}` given, disk and lmdb are allowed: leave '
                        '`io_backend` out, and the path tells.')
    if backend != implied:
        raise UserError(f'{name}: `io_backend: {{type: {backend}}}` does not fit `dataroot_gt: {given}`: an lmdb ends '
                        f'in .lmdb, a folder does not; write `type: {implied}` or the other path.')
    return root


def _noise(name: str, opt: Mapping[str, Any], train: bool) -> NoiseLevel:
    noise = NoiseLevel.from_options(opt, name)
    if not train and noise.key != 'sigma':
        raise UserError(f'{name}: `{noise.key}` is for training; a score needs one level: write `sigma: '
                        f'{noise.values[-1]:g}`, and one dataset for each level.')
    return noise


def _in_ch(name: str, opt: Mapping[str, Any]) -> int:
    in_ch = opt.get('in_ch', 3)
    if in_ch not in (1, 3) or isinstance(in_ch, bool):
        raise UserError(f'{name}: `in_ch: {in_ch}` given, 3 (RGB) and 1 (grey) are allowed: write `in_ch: 3`.')
    return in_ch


def _whole(name: str, opt: Mapping[str, Any], key: str, default: int, lowest: int = 1, required: bool = False) -> int:
    if required and key not in opt:
        raise UserError(f'{name}: `{key}` is missing: training needs it; write `{key}: {default}`.')
    value = opt.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise UserError(f'{name}: `{key}: {value}` given, a whole number of at least {lowest} is allowed: write '
                        f'`{key}: {default}`.')
    return value


def _yes_no(name: str, opt: Mapping[str, Any], key: str, default: bool | None) -> bool | None:
    value = opt.get(key, default)
    if value is not None and not isinstance(value, bool):
        raise UserError(f'{name}: `{key}: {value}` given, true and false are allowed: write `{key}: true`.')
    return default if value is None else value


def _subset(name: str, opt: Mapping[str, Any]) -> tuple[int, int] | None:
    given = opt.get('subset')
    if given is None:
        return None
    whole = isinstance(given, list | tuple) and all(isinstance(n, int) and not isinstance(n, bool) for n in given)
    if not whole or len(given) != 2 or not 0 <= given[0] < given[1]:
        raise UserError(f'{name}: `subset: {given}` given, [start, stop] with 0 <= start < stop is allowed: write it '
                        'like `subset: [0, 400]`.')
    return given[0], given[1]
