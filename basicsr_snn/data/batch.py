"""What a network is given at once: noisy pictures, with their truth and noise level where these are known."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from basicsr_snn.errors import UserError


@dataclass(frozen=True)
class Batch:
    """Pictures of one step, on the device of the network.

    Attributes:
        lq: Noisy pictures (N, C, H, W) in 0..1.
        gt: Clean pictures of the same shape; None where the truth is not known.
        sigma: Noise levels (N,) on the 0..255 scale; None where they are not known.
    """

    lq: Tensor
    gt: Tensor | None = None
    sigma: Tensor | None = None

    @classmethod
    def of_item(cls, data: Mapping[str, Any], device: torch.device) -> Batch:
        """The batch of what a data loader yields, sent to ``device``."""
        return cls(lq=data['lq'].to(device, memory_format=torch.channels_last, non_blocking=True),
                   gt=data['gt'].to(device, non_blocking=True) if 'gt' in data else None,
                   sigma=data['sigma'].to(device) if 'sigma' in data else None)

    @property
    def truth(self) -> Tensor:
        """The clean pictures, for whatever can't do without; a ``UserError`` where they are not known."""
        if self.gt is None:
            raise UserError('the data set has no clean pictures to compare with; take a dataset with dataroot_gt.')
        return self.gt

    def split(self, parts: int) -> list[Batch]:
        """The batch in ``parts`` equal parts; a ``UserError`` where it has none."""
        check_equal_parts(len(self.lq), parts)

        def chunks(one: Tensor | None) -> list[Tensor | None]:
            return [None] * parts if one is None else list(one.chunk(parts))

        return [Batch(*part) for part in zip(self.lq.chunk(parts), chunks(self.gt), chunks(self.sigma), strict=True)]


def check_equal_parts(pictures: int, parts: int) -> None:
    """Raise a ``UserError`` where a batch of so many pictures has no ``parts`` equal parts."""
    if pictures % parts:
        raise UserError(f'train: micro_batches is {parts}, but the batch of {pictures} pictures has no {parts} equal '
                        f'parts; write a divisor of {pictures}.')
