"""The default neuron: a leaky integrate-and-fire neuron that emits signed integer spike counts."""
from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError


def signed_counts_step_by_step(x: Tensor, threshold: Tensor, limit: int, decay: float) -> Tensor:
    """The neuron's equations written out under automatic differentiation: the reference of :class:`SignedCounts`.

    Args:
        x: Membrane input (T, N, C, H, W).
        threshold: Threshold of each channel, (C,), > 0.
        limit: Largest count D of either sign.
        decay: Leak of the membrane potential from step to step, 0..1.

    Returns:
        Integer-valued float counts of the shape of ``x`` in -D..D. Halves round to the even count (IEEE).
    """
    threshold = threshold.view(-1, 1, 1)
    counts, v = [], torch.zeros_like(x[0])
    for current in x:
        h = decay * v + current
        clipped = (h / threshold).clamp(-limit, limit)
        counts.append(clipped + (clipped.round() - clipped).detach())
        v = h - threshold * counts[-1]
    return torch.stack(counts)


class SignedCounts(torch.autograd.Function):
    """:func:`signed_counts_step_by_step` with its gradient written out, which keeps one tensor instead of five.

    In units of the threshold, ``u[t] = x[t]/theta + decay * (u[t-1] - k[t-1])``; only ``u`` is kept. The gradient of
    the count is 1 inside -D..D and 0 outside, so that with m = inside(u) the gradient of u is
    ``du[t] = m[t] dk[t] + decay (1 - m[t]) du[t+1]``, of x ``du/theta``, of theta ``-sum(du * x)/theta^2``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: Tensor, limit: int, decay: float) -> Tensor:
        potentials = x / threshold.view(-1, 1, 1)
        if x.shape[0] == 1 and not any(ctx.needs_input_grad):  # nothing to keep, so no second tensor
            return potentials.clamp_(-limit, limit).round_()
        counts = torch.empty_like(potentials)
        for t in range(x.shape[0]):
            if t:
                potentials[t].add_(potentials[t - 1], alpha=decay).sub_(counts[t - 1], alpha=decay)
            torch.clamp(potentials[t], -limit, limit, out=counts[t]).round_()
        ctx.save_for_backward(potentials, threshold)
        ctx.limit, ctx.decay = limit, decay
        return counts

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        potentials, threshold = ctx.saved_tensors
        inside = potentials.abs() <= ctx.limit
        gradient = torch.where(inside, grad, 0.0)
        steps = potentials.shape[0]
        for t in range(steps - 2, -1, -1):
            gradient[t].add_(gradient[t + 1].masked_fill(inside[t], 0.0), alpha=ctx.decay)
        driven = gradient * potentials
        for t in range(1, steps):  # x/theta is the potential less what was left of the step before
            left = potentials[t - 1] - potentials[t - 1].clamp(-ctx.limit, ctx.limit).round_()
            driven[t].sub_(gradient[t] * left, alpha=ctx.decay)
        of_threshold = driven.sum((0, 1, 3, 4)).neg_().div_(threshold)
        return gradient.div_(threshold.view(-1, 1, 1)), of_threshold, None, None


class SignedILIF(nn.Module):
    r"""Signed integer leaky integrate-and-fire neuron with a learnable threshold for each channel.

    Dynamics, from rest (:math:`v[-1] = 0`) at every call, with the threshold :math:`\theta_c > 0` of channel c:

    .. math::
        h[t] = \beta\, v[t-1] + x[t], \qquad
        k[t] = \mathrm{round}(\mathrm{clip}(h[t] / \theta_c, -D, D)), \qquad
        v[t] = h[t] - \theta_c\, k[t]

    The integer count follows I-LIF (arXiv 2407.20708); the sign, the threshold for each channel and its gradient are
    our choice. The neuron emits ``k``, so that what follows reads spikes; ``amplitude`` is :math:`\theta`, by which
    the next convolution scales its input channels (and which folds into its weights for inference). Together they
    approximate ``h``, and the gradient of :math:`\theta` is that of learned step-size quantisation (arXiv
    1902.08153).

    Args:
        channels: Number of channels C.
        D: Largest count of either sign, >= 1.
        decay: Leak :math:`\beta` in 0..1; 0.25 as in I-LIF. Without effect at T = 1.
        threshold: Initial threshold, > 0, in the unit of the membrane potential.

    Raises:
        UserError: ``D``, ``decay`` or ``threshold`` is out of range.

    Shape:
        ``(T, N, C, H, W)`` membrane input to ``(T, N, C, H, W)`` integer-valued float32 in -D..D.

    .. code-block:: yaml

        neuron: {type: SignedILIF, D: 4, decay: 0.25, threshold: 0.1}
    """

    signed = True

    def __init__(self, channels: int, D: int = 4, decay: float = 0.25, threshold: float = 0.1) -> None:  # noqa: N803
        super().__init__()
        if D < 1 or not 0 <= decay <= 1 or threshold <= 0:
            raise UserError(f'SignedILIF needs D >= 1, decay in 0..1 and threshold > 0, got D={D}, decay={decay}, '
                             f'threshold={threshold}.')
        self.D = int(D)
        self.decay = float(decay)
        self.log_threshold = nn.Parameter(torch.full((channels,), math.log(threshold)))

    @property
    def amplitude(self) -> Tensor:
        """Membrane value of one spike of each channel: the thresholds, shape (C,)."""
        return self.log_threshold.exp()

    def forward(self, x: Tensor) -> Tensor:
        return SignedCounts.apply(x, self.amplitude, self.D, self.decay)

    def extra_repr(self) -> str:
        return f'channels={self.log_threshold.numel()}, D={self.D}, decay={self.decay}'
