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
        gt: Clean pictures of the same shape; None where no truth is known.
        sigma: Noise levels (N,) on the 0..255 scale; None where they are not known.
        known: Of which pictures the truth is known, (N,) of bool; in the places of the others ``gt`` holds nothing of
            use. None: of all, if there is ``gt``.
    """

    lq: Tensor
    gt: Tensor | None = None
    sigma: Tensor | None = None
    known: Tensor | None = None

    @classmethod
    def of_item(cls, data: Mapping[str, Any], device: torch.device) -> Batch:
        """The batch of what a data loader yields, sent to ``device``."""
        return cls(lq=data['lq'].to(device, memory_format=torch.channels_last, non_blocking=True),
                   gt=data['gt'].to(device, non_blocking=True) if 'gt' in data else None,
                   sigma=data['sigma'].to(device) if 'sigma' in data else None,
                   known=data['has_truth'].to(device) if 'has_truth' in data else None)

    @property
    def _is_known(self) -> bool:
        """Whether there is no picture without a truth."""
        return self.gt is not None and self.known is None

    def require_truth(self) -> None:
        """Raise a ``UserError`` where there may be pictures that nothing but their truth could teach, without it."""
        if not self._is_known:
            raise UserError('pictures without a truth are trained on, but nothing else teaches what they show; write '
                            'model_type: ANNSNNDistillModel with a distill: block, or take datasets with dataroot_gt.')

    def whole_truth(self) -> Tensor:
        """The clean pictures of all that is given, for what reads the truth itself.

        Raises:
            UserError: There may be pictures whose truth is not known.
        """
        if self.gt is None or not self._is_known:
            raise UserError('distill.hints reads the truth (`of: truth`), but there are pictures without one; take '
                            'that hint out, or take datasets with dataroot_gt.')
        return self.gt

    def truth_for(self, made: Tensor) -> Tensor:
        """What pictures are compared with that were made of these: (N, C, H, W), or (T*N, C, H, W) one step after the
        other, to the same shape.

        A picture whose truth is not known is compared with itself. Such a loss is as small as it can be and has no
        gradient, and the others weigh what they weigh in a batch that is known altogether.
        """
        if self.gt is None:
            return made.detach()
        steps = len(made) // len(self.gt)
        truth = self.gt.repeat(steps, 1, 1, 1)
        if self.known is None:
            return truth
        return torch.where(self.known.repeat(steps).view(-1, 1, 1, 1), truth, made.detach())

    def split(self, parts: int) -> list[Batch]:
        """The batch in ``parts`` equal parts; a ``UserError`` where it has none."""
        check_equal_parts(len(self.lq), parts)

        def chunks(one: Tensor | None) -> list[Tensor | None]:
            return [None] * parts if one is None else list(one.chunk(parts))

        return [Batch(*part) for part in zip(self.lq.chunk(parts), *map(chunks, (self.gt, self.sigma, self.known)),
                                             strict=True)]


def check_equal_parts(pictures: int, parts: int) -> None:
    """Raise a ``UserError`` where a batch of so many pictures has no ``parts`` equal parts."""
    if pictures % parts:
        raise UserError(f'train: micro_batches is {parts}, but the batch of {pictures} pictures has no {parts} equal '
                        f'parts; write a divisor of {pictures}.')
