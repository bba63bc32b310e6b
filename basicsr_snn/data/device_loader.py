"""``on_device: true``: training batches drawn where the network trains, in place of a loader with workers."""
from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from basicsr_snn.data.device_crops import DeviceCrops
from basicsr_snn.data.draws import DrawSampler, SeededItems
from basicsr_snn.data.gaussian_denoising_dataset import GaussianDenoisingDataset
from basicsr_snn.data.mixed_dataset import MixedDataset
from basicsr_snn.errors import UserError


class DeviceLoader:
    """The training batches of a dataset, each drawn on the device from the seed of its first :class:`Draw`.

    So processes and a resume change no sample; the samples are others than those of workers
    (:class:`~basicsr_snn.data.device_crops.DeviceCrops`). A batch holds ``lq``, ``gt`` and ``sigma``, and no names.

    Args:
        dataset: A :class:`GaussianDenoisingDataset`, or a :class:`MixedDataset` of such.
        sampler: Tells the seeds.
        batch_size: Crops of a batch.
        device: Where the network trains.

    Raises:
        UserError: Another dataset, pictures of 16 bits, sets that differ in noise or symmetries.
    """

    num_workers = 0

    def __init__(self, dataset: Dataset[Any], sampler: DrawSampler, batch_size: int, device: torch.device) -> None:
        self.dataset, self.sampler, self._batch_size = dataset, sampler, batch_size
        self._generator = torch.Generator(device)
        self._crops = crops_of(dataset, batch_size, device, self._generator)

    def __len__(self) -> int:
        return len(self.sampler) // self._batch_size

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for first in islice(self.sampler, 0, None, self._batch_size):
            self._generator.manual_seed(first.seed)
            noisy, clean, sigma = self._crops.draw()
            yield {'lq': noisy, 'gt': clean, 'sigma': sigma}


def crops_of(dataset: Dataset[Any], batch_size: int, device: torch.device, generator: torch.Generator) -> DeviceCrops:
    """The crops of a dataset's pictures, on a device."""
    sets = dataset.sets if isinstance(dataset, MixedDataset) else [dataset]
    of_noise = [one for one in sets if isinstance(one, GaussianDenoisingDataset)]
    if len(of_noise) < len(sets):
        other = next(one for one in sets if not isinstance(one, GaussianDenoisingDataset))
        kind = type(other.dataset if isinstance(other, SeededItems) else other).__name__
        raise UserError(f'datasets: train: `on_device: true` was given to a {kind}; only GaussianDenoisingDataset, and '
                        'MixedDataset of such, draws its crops on the device: leave `on_device` out.')
    first = of_noise[0]
    for one in of_noise[1:]:
        if _how(one) != _how(first):
            raise UserError(f'datasets: train: `on_device: true` was given, but {first.options.name} and '
                            f'{one.options.name} differ in noise, use_hflip or use_rot: write the same for all sets.')
    shares = dataset.shares.tolist() if isinstance(dataset, MixedDataset) else None
    return DeviceCrops([one.decoded() for one in of_noise], first.options.gt_size, batch_size, first.noise, device,
                       generator, shares, first.options.use_hflip, first.options.use_rot)


def _how(dataset: GaussianDenoisingDataset) -> tuple[Any, ...]:
    return dataset.noise, dataset.options.use_hflip, dataset.options.use_rot
