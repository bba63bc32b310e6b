"""Neurons over a whole sequence at once: one fused loop forward, one backward, which keeps its input only.

Each pair of kernels computes what the neuron's plain form computes step by step, with the same spikes. A sequence comes
as rows, (T, P, C): time, pixels of all pictures, channels. That is how a channels_last sequence lies in memory.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from basicsr_snn.spiking.compiling import Kernel


def as_rows(x: Tensor) -> Tensor:
    """(T, N, C, H, W) as (T, N*H*W, C): the same memory where the sequence is channels_last, else a copy."""
    return x.movedim(2, -1).flatten(1, -2).detach()  # as a view it would compile anew for each kind of base


def as_sequence(rows: Tensor, like: Tensor) -> Tensor:
    """Rows (T, P, C) as a channels_last sequence of the shape of ``like``, (T, N, C, H, W), without a copy."""
    steps, batch, channels, height, width = like.shape
    return rows.view(steps, batch, height, width, channels).movedim(-1, 2)


@Kernel
def signed_counts(x: Tensor, threshold: Tensor, lowest: int, highest: int, decay: float) -> Tensor:
    """Counts of :class:`basicsr_snn.spiking.neurons.signed_ilif.SignedILIF`; x is (T, P, C), threshold (C,)."""
    return torch.stack([k for _, k in _signed_steps(x, threshold, lowest, highest, decay)])


@Kernel
def signed_counts_gradient(x: Tensor, grad: Tensor, threshold: Tensor, lowest: int, highest: int,
                           decay: float) -> tuple[Tensor, Tensor]:
    """Gradient of x (T, P, C), and what adds up over rows to minus that of the thresholds times them, (P or 1, C).

    The count's gradient is 1 inside its range and 0 outside. torch sums over P faster than the loop over several steps.
    """
    of_x: list[Tensor] = []
    steps = _signed_steps(x, threshold, lowest, highest, decay)
    for (u, k), of_k in zip(reversed(steps), grad.flip(0).unbind(0), strict=True):
        inside = (u >= lowest) & (u <= highest)
        if not of_x:
            of_u = torch.where(inside, of_k, 0.0)
            of_threshold = of_u * u
            of_x.append(of_u / threshold)
        else:
            of_v = decay * of_x[-1]
            of_u = torch.where(inside, of_k - threshold * of_v, 0.0)
            of_threshold = of_threshold + of_u * u + threshold * k * of_v
            of_x.append(of_u / threshold + of_v)
    return torch.stack(of_x[::-1]), of_threshold if len(steps) > 1 else of_threshold.sum(0, keepdim=True)


def _signed_steps(x: Tensor, threshold: Tensor, lowest: int, highest: int,
                  decay: float) -> list[tuple[Tensor, Tensor]]:
    """Potential in units of the threshold, and count, of each step."""
    steps, v = [], None
    for current in x.unbind(0):
        h = current if v is None else decay * v + current
        u = h / threshold
        k = u.clamp(lowest, highest).round()
        v = h - threshold * k
        steps.append((u, k))
    return steps


def _atan(x: Tensor, alpha: float) -> Tensor:
    scaled = math.pi * (alpha / 2) * x
    return (alpha / 2) / (1 + scaled * scaled)


def _sigmoid(x: Tensor, alpha: float) -> Tensor:
    activation = (alpha * x).sigmoid()
    return alpha * (1 - activation) * activation


def _piecewise_quadratic(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x.abs() > 1 / alpha, 0.0, alpha - alpha * alpha * x.abs())


def _rect(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x.abs() < 0.5 / alpha, alpha, 0.0)


SURROGATE_GRADIENTS: dict[str, Callable[[Tensor, float], Tensor]] = {
    'ATan': _atan, 'Sigmoid': _sigmoid, 'PiecewiseQuadratic': _piecewise_quadratic, 'Rect': _rect}
"""Derivative of the spike by the distance to the threshold, by the name of SpikingJelly's surrogate."""


@Kernel
def leaky_spikes(x: Tensor, tau: float, threshold: float, reset: float, decay_input: bool, hard: bool) -> Tensor:
    """Binary spikes of SpikingJelly's LIFNode; x is (T, P, C). An infinite tau makes an IFNode."""
    return torch.stack([s for _, s in _leaky_steps(x, tau, threshold, reset, decay_input, hard)])


@Kernel
def leaky_spikes_gradient(x: Tensor, grad: Tensor, tau: float, threshold: float, reset: float, decay_input: bool,
                          hard: bool, detach_reset: bool, surrogate: str, alpha: float) -> Tensor:
    """Gradient of x (T, P, C), with the surrogate's derivative in place of the spike's."""
    steps = _leaky_steps(x, tau, threshold, reset, decay_input, hard)
    of_v = torch.zeros_like(x[0])
    of_x = []
    for (h, s), of_s in zip(reversed(steps), grad.flip(0).unbind(0), strict=True):
        if not detach_reset:
            of_s = of_s + of_v * ((reset - h) if hard else -threshold)
        of_h = of_s * SURROGATE_GRADIENTS[surrogate](h - threshold, alpha) + (of_v * (1 - s) if hard else of_v)
        of_x.append(of_h / tau if decay_input else of_h)
        of_v = of_h - of_h / tau
    return torch.stack(of_x[::-1])


def _leaky_steps(x: Tensor, tau: float, threshold: float, reset: float, decay_input: bool,
                 hard: bool) -> list[tuple[Tensor, Tensor]]:
    steps, v = [], torch.full_like(x[0], reset)
    for current in x.unbind(0):
        h = v + (current - (v - reset)) / tau if decay_input else v - (v - reset) / tau + current
        s = (h >= threshold).to(h.dtype)
        v = s * reset + (1 - s) * h if hard else h - s * threshold
        steps.append((h, s))
    return steps


class LeakySequence(torch.autograd.Function):
    """:func:`leaky_spikes` with its gradient; (T, N, C, H, W) to the same. ``dynamics`` and ``gradient`` are the
    numbers that the two kernels take."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dynamics: tuple, gradient: tuple) -> Tensor:
        ctx.save_for_backward(x)
        ctx.constants = *dynamics, *gradient
        return as_sequence(leaky_spikes(as_rows(x), *dynamics), x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        x, = ctx.saved_tensors
        return as_sequence(leaky_spikes_gradient(as_rows(x), as_rows(grad), *ctx.constants), x), None, None
