"""Spikes as what they add to the membrane, in two fused kernels: the form in which a student trains on a GPU.

A spike count k of threshold theta reaches the next convolution as the float ``theta * k``. That is the same function as
scaling the convolution's weights by theta, without a copy of the weights for each step; folding gives the counts back.
"""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from basicsr_snn.spiking.compiling import Kernel


@Kernel
def send_values(x: Tensor, threshold: Tensor, limits: Tensor) -> tuple[Tensor, Tensor]:
    """Membrane values of the spikes, and the number of spikes of each channel.

    x is (P, C), threshold (C,); limits are the smallest and the largest count, (2,).
    """
    counts = (x / threshold).clamp(limits[0], limits[1]).round()
    return counts * threshold, counts.abs().sum(0)


@Kernel
def send_gradients(x: Tensor, threshold: Tensor, of_values: Tensor, of_events: Tensor,
                   limits: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of x (P, C) and of the threshold (C,), with that of a count 1 inside its range and 0 outside."""
    potential = x / threshold
    counts = potential.clamp(limits[0], limits[1]).round()
    of_counts = of_values * threshold + of_events * counts.sign()
    of_potential = torch.where((potential >= limits[0]) & (potential <= limits[1]), of_counts, 0.0)
    return of_potential / threshold, (of_values * counts - of_potential * potential / threshold).sum(0)


class MembraneValues(torch.autograd.Function):
    """:func:`send_values` for one time step (1, N, C, H, W) in channels_last memory.

    Returns the values, of the shape of ``x``, and the number of all spikes, a scalar. ``fused`` compiles both kernels.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: Tensor, limits: Tensor, fused: bool) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, threshold, limits)
        ctx.fused = fused
        kernel = send_values if fused else send_values.plain
        values, events = kernel(_rows(x), threshold, limits)
        return _picture(values, x), events.sum()

    @staticmethod
    def backward(ctx: Any, of_values: Tensor, of_events: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, threshold, limits = ctx.saved_tensors
        kernel = send_gradients if ctx.fused else send_gradients.plain
        of_x, of_threshold = kernel(_rows(x), threshold, _rows(of_values), of_events, limits)
        return _picture(of_x, x), of_threshold, None, None


def _rows(x: Tensor) -> Tensor:
    """(1, N, C, H, W) as (N*H*W, C)."""
    return x.movedim(2, -1).flatten(0, -2).detach()


def _picture(rows: Tensor, like: Tensor) -> Tensor:
    _, batch, channels, height, width = like.shape
    return rows.view(1, batch, height, width, channels).movedim(-1, 2)
