"""Training pairs of any dataset, drawn by worker processes before a training and kept on its device."""
from __future__ import annotations

from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import torch
from basicsr.data import build_dataset
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from basicsr_snn.data.draws import DrawSampler, follow_draws
from basicsr_snn.data.loaders import require_pictures
from basicsr_snn.errors import UserError

AT_ONCE = 64
"""Pairs that a worker sends at a time."""


class Compact(Dataset[Any]):
    """The degraded crop of each item, (C, H, W) uint8, and the clean one, float16 in 0..1: a quarter and half of the
    memory, the latter wrong by at most a sixteenth of an 8-bit level."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        item = self.dataset[index]
        return _bytes(item['lq']), item['gt'].half()


def _bytes(crop: Tensor) -> Tensor:
    levels = crop * 255
    whole = levels.round()
    if (levels - whole).abs().max() > 0.01:
        raise UserError('the degraded crops hold values between those of 8 bits, but the kit keeps bytes; train by '
                        'basicsr-snn train, or with a dataset that rounds.')
    return whole.byte()


def draw_pairs(block: dict[str, Any], scale: int, count: int, seed: int, workers: int) -> tuple[Tensor, Tensor]:
    """Draw crops as a training with this dataset block does.

    Args:
        block: ``datasets: train:`` of an option file.
        scale: By how much the clean crops are larger.
        count: How many pairs.
        seed: Of all that is random.
        workers: Processes that draw.

    Returns:
        Degraded crops (N, C, H, W) uint8, and clean ones, float16 in 0..1.

    Raises:
        UserError: The dataset cannot be built, or its degraded pictures are not of 8 bits.
    """
    dataset = follow_draws(build_dataset({**block, 'phase': 'train', 'scale': scale}))
    require_pictures(dataset)
    draws = DrawSampler(len(dataset), AT_ONCE, seed, count / len(dataset))
    loader = DataLoader(Compact(dataset), AT_ONCE, sampler=draws, num_workers=workers)
    degraded, clean = zip(*loader, strict=True)
    return torch.cat(degraded)[:count], torch.cat(clean)[:count]


class DrawnPairs:
    """Batches of pairs that were drawn before, each pair with equal chance; nothing waits for the CPU.

    Args:
        pairs: What :func:`draw_pairs` returns.
        batch: Pairs of a batch.
        device: Where they lie from now on.
        generator: The device's generator to draw from.
    """

    def __init__(self, pairs: tuple[Tensor, Tensor], batch: int, device: torch.device,
                 generator: torch.Generator) -> None:
        self.degraded, self.clean = (one.to(device) for one in pairs)
        self.batch, self.device, self.generator = batch, device, generator

    def draw(self) -> tuple[Tensor, Tensor]:
        """A degraded and the clean batch, (N, C, H, W) float32 in 0..1, channels_last."""
        which = torch.randint(len(self.clean), (self.batch,), device=self.device, generator=self.generator)
        degraded, clean = self.degraded[which].float() / 255, self.clean[which].float()
        return (degraded.contiguous(memory_format=torch.channels_last),
                clean.contiguous(memory_format=torch.channels_last))
