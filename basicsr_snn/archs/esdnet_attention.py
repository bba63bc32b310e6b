"""Attention over time, channels and space that weighs membrane potentials (MA-SNN, arXiv 2209.13929)."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.errors import UserError

TIME_REDUCTION = 4
CHANNEL_REDUCTION = 16
"""Ratios of outer to hidden width of the two perceptrons, as ESDNet sets them (arXiv 2405.06277)."""


class MultiDimensionalAttention(nn.Module):
    """Scales membrane potentials by a gate for each time step, then each channel, then each place, and rectifies.

    A gate is ``sigmoid(f(mean) + f(max))`` of the input pooled over all other axes, pictures apart; ``f`` is a
    perceptron without bias for time and channels, a 3x3 convolution for places. The result is that of SpikingJelly's
    layer of this name (a test compares them), with fewer passes over the tensor: gates are positive, so mean and
    maximum of the gated tensor follow from those of the input. Its layers are ``nn.Linear`` and ``nn.Conv2d``, so that
    their operations are counted.

    All steps must be there before the first gate is known: a step depends on later ones, and the number of steps is
    part of the weights.

    Args:
        steps: Time steps T, >= 1. Hidden width of their perceptron: T // 4, at least 1 (our choice below T = 4).
        channels: Channels C, >= 16. Hidden width of their perceptron: C // 16.

    Raises:
        UserError: ``steps`` below 1 or ``channels`` below 16.

    Shape:
        (T, N, C, H, W) to the same, >= 0; the memory format of the input is kept.
    """

    def __init__(self, steps: int, channels: int) -> None:
        super().__init__()
        if steps < 1 or channels < CHANNEL_REDUCTION:
            raise UserError(f'attention was given {steps} time steps and {channels} channels, but needs at least 1 and '
                            f'{CHANNEL_REDUCTION}; give more.')
        self.time = _perceptron(steps, max(1, steps // TIME_REDUCTION))
        self.channel = _perceptron(channels, channels // CHANNEL_REDUCTION)
        self.space = nn.Conv2d(2, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mean, peak = x.mean((3, 4)), x.amax((3, 4))
        time_gate = torch.sigmoid(self.time(mean.mean(2).T) + self.time(peak.amax(2).T)).T.unsqueeze(2)
        mean, peak = time_gate * mean, time_gate * peak
        channel_gate = torch.sigmoid(self.channel(mean.mean(0)) + self.channel(peak.amax(0)))
        x = x * (time_gate * channel_gate)[..., None, None]
        pooled = torch.stack([x.mean((0, 2)), x.amax((0, 2))], dim=1)
        return F.relu(x * torch.sigmoid(self.space(pooled)))


def _perceptron(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, width, bias=False))
