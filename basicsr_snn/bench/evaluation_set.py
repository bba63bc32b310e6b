"""The pictures that all networks restore."""
from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from basicsr.data import build_dataset
from torch import Tensor

from basicsr_snn.compat.datasets import MISTAKES, cannot_be_opened
from basicsr_snn.data.draws import Draw, follow_draws
from basicsr_snn.data.gaussian_denoising_dataset import GaussianDenoisingDataset
from basicsr_snn.data.loaders import require_pictures
from basicsr_snn.errors import UserError
from basicsr_snn.images.limits import OPTION, allow_megapixels
from basicsr_snn.pipeline.option_files import keep_datasets, read_options

PHASES = ('test', 'val')
TRAINING_PICTURES, TRAINING_CROP = 16, 128
WHERE_PICTURES_ARE = ('dataroot_gt', 'dataroot_lq', 'subset')


class EvaluationSet:
    """Pictures of one or more datasets, made anew at each pass and the same in each.

    Args:
        blocks: Dataset blocks of options by phase (``test_1``), as BasicSR's ``build_dataset`` takes them.
        limit: Only this many pictures of each dataset, from the first; None for all.

    Raises:
        UserError: There is no picture, or a dataset has no clean pictures to compare with.
    """

    def __init__(self, blocks: Mapping[str, Mapping[str, Any]], limit: int | None = None) -> None:
        self.names = [str(block.get('name', phase)) for phase, block in blocks.items()]
        self._roots = [block.get('dataroot_gt') for block in blocks.values()]
        self.datasets = [_dataset(phase, block) for phase, block in blocks.items()]
        self.counts = [len(dataset) if limit is None else min(limit, len(dataset)) for dataset in self.datasets]
        if not len(self):
            raise UserError(f'{" and ".join(self.names)} hold no pictures; correct dataroot_gt.')

    def __len__(self) -> int:
        return sum(self.counts)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Degraded and clean picture, each (1, C, H, W) in 0..1, and the noise level (1,) where it is known."""
        return ((given, clean, sigma) for _, _, given, clean, sigma in self.named())

    def named(self) -> Iterator[tuple[str, str, Tensor, Tensor, Tensor | None]]:
        """The same after the name of the dataset and that of the picture, without extension."""
        for dataset_name, dataset, count in zip(self.names, self.datasets, self.counts, strict=True):
            for index in range(count):
                item = dataset[index]
                if 'gt' not in item:
                    raise UserError(f'{dataset_name} has no clean pictures to compare with; take a dataset with '
                                    'dataroot_gt.')
                sigma = item.get('sigma')
                yield (dataset_name, Path(str(item.get('lq_path', index))).stem, item['lq'][None], item['gt'][None],
                       None if sigma is None else sigma.reshape(1))

    def fingerprint(self) -> str:
        """Checksum of all degraded and clean pictures and noise levels, 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for tensors in self:
            for tensor in tensors:
                if tensor is not None:
                    digest.update(str(tuple(tensor.shape)).encode())
                    digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def folders(self) -> list[tuple[str, Path | None]]:
        """Name of each dataset, and the folder of its clean pictures where it names one."""
        return [(name, Path(root) if root else None) for name, root in zip(self.names, self._roots, strict=True)]

    @property
    def are_pairs(self) -> bool:
        """Whether how far a degraded picture is from its clean one is seen from the pictures only."""
        return not all(isinstance(dataset, GaussianDenoisingDataset) for dataset in self.datasets)

    def describe(self) -> str:
        """Names of the datasets with how many pictures of each."""
        return ' and '.join(f'{name} ({count} picture{"s" if count > 1 else ""})'
                            for name, count in zip(self.names, self.counts, strict=True))


def _dataset(phase: str, block: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    try:
        return build_dataset({**block, 'phase': phase.split('_')[0]})
    except UserError:
        raise
    except MISTAKES as error:
        raise cannot_be_opened({'name': phase, **block}, error) from error


def blocks_of_options(file: str | Path, sets: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Test or validation datasets of an option file.

    Args:
        file: Option file.
        sets: Names of the datasets to take; the first one if none is named.

    Raises:
        UserError: It has no such dataset.
    """
    options = read_options(file)
    allow_megapixels(options.get(OPTION))
    blocks = {phase: dict(block) for phase, block in (options.get('datasets') or {}).items()
              if phase.split('_')[0] in PHASES}
    if not blocks:
        raise UserError(f'{file} has no test or validation dataset; add -i FOLDER --noise 25, or name first an option '
                        'file that has one.')
    options['datasets'] = blocks
    if sets:
        keep_datasets(options, sets)
    chosen = options['datasets'] if sets else dict([next(iter(blocks.items()))])
    scale = {'scale': options['scale']} if 'scale' in options else {}
    return {phase: {**_with_home(block), **scale} for phase, block in chosen.items()}


def _with_home(block: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset block whose paths may begin with ``~``."""
    return {**block, **{key: str(Path(block[key]).expanduser()) for key in ('dataroot_gt', 'dataroot_lq')
                        if block.get(key)}}


def block_of_folder(folder: Path, sigma: float, in_ch: int) -> dict[str, dict[str, Any]]:
    """A folder of clean pictures, with the seeded noise of the test protocol."""
    return {'test_1': {'name': folder.name, 'type': 'GaussianDenoisingDataset', 'dataroot_gt': str(folder),
                       'sigma': sigma, 'in_ch': in_ch}}


def training_crops(options: Mapping[str, Any], pictures: int = TRAINING_PICTURES) -> Tensor:
    """Noisy crops of the training pictures of an option file, (N, C, H, W), always the same.

    Corners of the first pictures, at most 128 pixels a side, with the noise of validation. Where training and
    validation are of different kinds, as behind a ``MixedDataset``, crops as the training draws them.

    Raises:
        UserError: The option file has no datasets for training and validation, or they hold no pictures.
    """
    datasets = options.get('datasets') or {}
    if not {'train', 'val'} <= datasets.keys():
        raise UserError(f'the option file has the datasets {", ".join(datasets) or "none"}, but training crops need '
                        'train, for the pictures, and val, for their noise; add them.')
    scale = {'scale': options.get('scale') or 1}
    train, val = ({**scale, **_with_home(datasets[phase])} for phase in ('train', 'val'))
    if train.get('type') != val.get('type') or 'dataroot_gt' not in train:
        return _drawn_crops(train, pictures)
    block = {key: value for key, value in val.items() if key not in WHERE_PICTURES_ARE}
    block |= {key: value for key, value in train.items() if key in WHERE_PICTURES_ARE}
    noisy = [given for given, _, _ in EvaluationSet({'val': block}, pictures)]
    side = min(TRAINING_CROP, *(length for picture in noisy for length in picture.shape[-2:]))
    return torch.cat([picture[..., :side, :side] for picture in noisy])


def _drawn_crops(block: Mapping[str, Any], count: int) -> Tensor:
    dataset = follow_draws(_dataset('train', block))
    require_pictures(dataset)
    return torch.stack([dataset[Draw(number % len(dataset), number)]['lq'] for number in range(count)])
