"""An energy budget for training: a penalty on synaptic operations above a target."""
from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.errors import UserError

MEMORY = 0.95
"""Share of the running mean of accumulations that a batch leaves as it is."""

MARGIN = 0.05
"""Share of the budget by which the running mean stays below it before the penalty's gradient is left out."""


@LOSS_REGISTRY.register()
class SpikeRateLoss(nn.Module):
    """Hinge on accumulations a pixel: ``loss_weight * max(0, ACs / target - 1)``.

    A penalty on spiking activity beside the task's loss follows "On Reducing Activity with Distillation and
    Regularization"; a budget in accumulations (events times fan-out, what energy is counted from) instead of a rate,
    and the hinge, are our choice. The hinge has one slope: training settles at the target as soon as the weight is
    larger than what an accumulation is worth to the picture, whatever its exact value, and below it costs nothing.
    One batch has more to tell than another, so that a running mean over batches says whether the budget is kept; the
    gradient is that of the batch. The mean is of what all processes saw since the training was begun, a part of a batch
    at a time with ``micro_batches``; checkpoints keep it.

    Args:
        target: Accumulations a pixel of the padded picture and of all time steps, > 0.
        loss_weight: Penalty at twice the target.

    Shape:
        Events of each layer (T*N, C, H, W), their fan-outs, and the number of pixels N*H*W, to a scalar.

    Raises:
        UserError: ``target`` is not positive.

    .. code-block:: yaml

        rate_opt: {type: SpikeRateLoss, target: 20000, loss_weight: 0.01}
    """

    mean: Tensor

    def __init__(self, target: float, loss_weight: float = 0.01) -> None:
        super().__init__()
        if target <= 0:
            raise UserError(f'SpikeRateLoss was given target: {target}; write accumulations a pixel, such as 20000.')
        self.target = float(target)
        self.loss_weight = loss_weight
        self.register_buffer('mean', torch.tensor(torch.nan))

    def forward(self, spikes: Sequence[Tensor], fan_outs: Sequence[float], pixels: int) -> Tensor:
        with torch.set_grad_enabled(not self._is_far_below()):  # far below the budget there is no gradient to compute
            of_layers = (fan_out * counts.abs().sum() for counts, fan_out in zip(spikes, fan_outs, strict=True))
            operations = reduce(operator.add, of_layers) / pixels
        batch = operations.detach()
        of_all = mean_over_processes(batch)
        self.mean.copy_(torch.where(self.mean.isnan(), of_all, torch.lerp(self.mean, of_all, 1 - MEMORY)))
        return self.loss_weight * F.relu((self.mean + operations - batch) / self.target - 1)


    def _is_far_below(self) -> bool:
        """False before the first batch, and while a CUDA graph is captured, which cannot ask."""
        capturing = torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
        return not capturing and bool(self.mean < self.target * (1 - MARGIN))


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a value over the processes of a training; the value itself where there is one."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()
