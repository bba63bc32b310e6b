"""The default neuron: a leaky integrate-and-fire neuron that emits signed integer spike counts."""
from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.spiking.base import Neuron, potentials_of_soft_reset, register_neuron
from basicsr_snn.spiking.compiling import compile_wanted
from basicsr_snn.spiking.membrane_values import MembraneValues
from basicsr_snn.spiking.sequences import as_rows, as_sequence, signed_counts, signed_counts_gradient

RANGE_MARGIN = 1e-6


def signed_counts_step_by_step(x: Tensor, threshold: Tensor, lowest: int, highest: int, decay: float,
                               v: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The neuron's equations written out under automatic differentiation: the reference of the faster forms.

    Args:
        x: Membrane input (T, N, C, H, W).
        threshold: Threshold of each channel, (C,), > 0.
        lowest: Smallest count, -D, or 0 for a neuron without negative spikes.
        highest: Largest count D.
        decay: Leak of the membrane potential from step to step, 0..1.
        v: Membrane potential (N, C, H, W) to go on from; ``None``: rest.

    Returns:
        Integer-valued float counts of the shape of ``x`` (halves round to the even count, IEEE), and the
        membrane potential after the last step.
    """
    threshold = threshold.view(-1, 1, 1)
    counts, v = [], torch.zeros_like(x[0]) if v is None else v
    for current in x:
        h = decay * v + current
        clipped = (h / threshold).clamp(lowest, highest)
        counts.append(clipped + (clipped.round() - clipped).detach())
        v = h - threshold * counts[-1]
    return torch.stack(counts), v


class SignedCounts(torch.autograd.Function):
    """:func:`signed_counts_step_by_step` with its gradient written out, which keeps the input only.

    In units of the threshold, ``u[t] = x[t]/theta + decay * (u[t-1] - k[t-1])``. The gradient of the count is 1 inside
    its range and 0 outside, so that with m = inside(u) the gradient of u is ``du[t] = m[t] dk[t] + decay (1 - m[t])
    du[t+1]``, of x ``du/theta``, of theta ``-sum(du * x)/theta^2``. ``fused`` takes the kernels of
    :mod:`basicsr_snn.spiking.sequences` where they are faster, which a single step forward is not.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: Tensor, lowest: int, highest: int, decay: float,
                fused: bool = False) -> Tensor:
        ctx.save_for_backward(x, threshold)
        ctx.dynamics, ctx.fused = (lowest, highest, decay), fused
        if fused and x.shape[0] > 1:
            return as_sequence(signed_counts(as_rows(x), threshold, lowest, highest, decay), x)
        return _potentials(x, threshold, lowest, highest, decay).clamp_(lowest, highest).round_()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        x, threshold = ctx.saved_tensors
        if ctx.fused:
            of_x, summands = signed_counts_gradient(as_rows(x), as_rows(grad), threshold, *ctx.dynamics)
            return as_sequence(of_x, x), summands.sum(0).neg_().div_(threshold), None, None, None, None
        lowest, highest, decay = ctx.dynamics
        potentials = _potentials(x, threshold, lowest, highest, decay)
        gradient = _where_inside(grad, potentials, lowest, highest)
        for t in range(x.shape[0] - 2, -1, -1):
            outside = gradient[t + 1] - _where_inside(gradient[t + 1], potentials[t], lowest, highest)
            gradient[t].add_(outside, alpha=decay)
        gradient.mul_(threshold.reciprocal().view(-1, 1, 1))
        of_threshold = (gradient * x).sum((0, 1, 3, 4)).neg_().div_(threshold)
        return gradient, of_threshold, None, None, None, None


def _where_inside(grad: Tensor, potentials: Tensor, lowest: int, highest: int) -> Tensor:
    """``grad`` where the potential is in the range of the counts, its ends included, else 0: in one pass.

    hardtanh's own backward leaves the ends out, hence the margin of one unit in the last place of a count of 8.
    """
    return torch.ops.aten.hardtanh_backward(grad, potentials, lowest - RANGE_MARGIN, highest + RANGE_MARGIN)


def _potentials(x: Tensor, threshold: Tensor, lowest: int, highest: int, decay: float) -> Tensor:
    """Membrane potentials before the spike, in units of the threshold, shape of ``x``."""
    potentials = x / threshold.view(-1, 1, 1)
    for t in range(1, x.shape[0]):
        before = potentials[t - 1]
        potentials[t].add_(before - before.clamp(lowest, highest).round_(), alpha=decay)
    return potentials


@register_neuron('SignedILIF')
class SignedILIF(Neuron, nn.Module):
    r"""Signed integer leaky integrate-and-fire neuron with a learnable threshold for each channel.

    Dynamics, from rest (:math:`v[-1] = 0`) at every call, with the threshold :math:`\theta_c > 0` of channel c:

    .. math::
        h[t] = \beta\, v[t-1] + x[t], \qquad
        k[t] = \mathrm{round}(\mathrm{clip}(h[t] / \theta_c, L, D)), \qquad
        v[t] = h[t] - \theta_c\, k[t]

    The integer count follows I-LIF (arXiv 2407.20708); the sign, the threshold for each channel and its gradient are
    our choice. The neuron emits ``k``, so that what follows reads spikes; ``amplitude`` is :math:`\theta`, by which
    the next convolution scales its input channels (and which folds into its weights for inference). Together they
    approximate ``h``, and the gradient of :math:`\theta` is that of learned step-size quantisation (arXiv
    1902.08153).

    Args:
        channels: Number of channels C.
        D: Largest count, >= 1.
        lowest: Smallest count L, -D..0; ``None``: -D. 0 makes a neuron without negative spikes, as I-LIF's.
        decay: Leak :math:`\beta` in 0..1; 0.25 as in I-LIF. Without effect at T = 1.
        threshold: Initial threshold, > 0, in the unit of the membrane potential.
        bias: A learnable current into each channel, so that counts from 0 on can tell potentials of both signs.
        compile: Run the fused kernels of :mod:`basicsr_snn.spiking.sequences`, with the same spikes; pays for trainings
            of more than a minute. ``BASICSR_SNN_COMPILE`` overrides it.

    Raises:
        UserError: ``D``, ``decay`` or ``threshold`` is out of range.

    Shape:
        ``(T, N, C, H, W)`` membrane input to ``(T, N, C, H, W)`` integer-valued float32 in L..D.

    .. code-block:: yaml

        neuron: {type: SignedILIF, D: 4, decay: 0.25, threshold: 0.1}
    """

    def __init__(self, channels: int, D: int = 4, decay: float = 0.25, threshold: float = 0.1,  # noqa: N803
                 lowest: int | None = None, bias: bool = False, compile: bool = False) -> None:
        super().__init__()
        lowest = -D if lowest is None else lowest
        if D < 1 or not 0 <= decay <= 1 or threshold <= 0 or not -D <= lowest <= 0:
            raise UserError(f'SignedILIF needs D >= 1, decay in 0..1, threshold > 0 and lowest in -D..0, got D={D}, '
                            f'decay={decay}, threshold={threshold}, lowest={lowest}.')
        self.D = self.max_count = int(D)
        self.lowest = int(lowest)
        self.decay = float(decay)
        self.compiled = compile_wanted(compile)
        self.register_buffer('limits', torch.tensor([self.lowest, self.D], dtype=torch.float32), persistent=False)
        self.log_threshold = nn.Parameter(torch.full((channels,), math.log(threshold)))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        self.is_signed = self.lowest < 0 or bias

    @property
    def amplitude(self) -> Tensor:
        """Membrane value of one spike of each channel: the thresholds, shape (C,)."""
        return self.log_threshold.exp()

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is not None:
            x = x + self.bias.view(-1, 1, 1)
        if self.carries_state:
            counts, v = signed_counts_step_by_step(x, self.amplitude, self.lowest, self.D, self.decay, self.state()[0])
            self.carry((v,))
            return counts
        return SignedCounts.apply(x, self.amplitude, self.lowest, self.D, self.decay, self.compiled)

    def membrane_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the spikes of one step (1, N, C, H, W) add to membranes, of that shape, and how many there are."""
        if self.bias is not None:
            x = x + self.bias.view(-1, 1, 1)
        return MembraneValues.apply(x, self.amplitude, self.limits, self.compiled)

    def potentials(self, x: Tensor, spikes: Tensor, state: tuple[Any, ...]) -> Tensor:
        x = x if self.bias is None else x + self.bias.detach()
        return potentials_of_soft_reset(x, spikes, self.amplitude.detach(), self.decay, state[0])

    def extra_repr(self) -> str:
        return f'channels={self.log_threshold.numel()}, D={self.D}, lowest={self.lowest}, decay={self.decay}'
