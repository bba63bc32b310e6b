"""The neuron trained by differentiation on spike representation (DSR, arXiv 2205.00459), around SpikingJelly's."""
from __future__ import annotations

from copy import copy
from typing import Any

import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.spiking.base import Neuron, potentials_of_soft_reset, register_neuron


@register_neuron('DSRIFNode')
class DSRIFNode(Neuron, nn.Module):
    """SpikingJelly's ``DSRIFNode``, whose spikes are worth its threshold, as a neuron that emits 0 or 1.

    Forward an integrate-and-fire neuron with soft reset; backward the clipped mean over time that its spikes stand for:
    gradient goes through where the mean input lies in 0..threshold, the same at every step. What a spike is worth is
    the ``amplitude`` by which the next convolution scales its input, so that currents are those of the paper.

    Args:
        channels: Channels C of the layer.
        v_threshold: Initial threshold, trained, one for the layer. 0.1 suits streams without normalisation (our
            choice; the paper begins at 6 behind batch normalisation).
        alpha: Fires from ``alpha * v_threshold`` on, 0..1; 0.5 as in the paper.

    Raises:
        UserError: A threshold or alpha out of range.

    Shape:
        (T, N, C, H, W) membrane input to spikes 0 or 1 of the same shape.

    .. code-block:: yaml

        neuron: {type: DSRIFNode, v_threshold: 0.1}
    """

    whole_sequence = True

    def __init__(self, channels: int, v_threshold: float = 0.1, alpha: float = 0.5) -> None:
        super().__init__()
        if v_threshold <= 0.01 or not 0 < alpha <= 1:
            raise UserError(f'DSRIFNode was given v_threshold: {v_threshold} and alpha: {alpha}; write a threshold '
                            'above 0.01 and alpha in 0..1.')
        self.node = neuron.DSRIFNode(v_threshold=float(v_threshold), alpha=float(alpha))
        self.channels, self.alpha = channels, float(alpha)

    @property
    def amplitude(self) -> Tensor:
        """The threshold for each channel, (C,), without gradient, which comes by way of the spikes."""
        return self.node.v_threshold.detach().clamp(min=self.node.v_threshold_lower_bound).expand(self.channels)

    def forward(self, x: Tensor) -> Tensor:
        node = copy(self.node)  # of this call alone: it keeps the number of steps
        node.T = x.shape[0]
        worth = node(x).to(x.dtype)  # SpikingJelly answers in float32
        return worth / self.amplitude[0] + (torch.sign(worth) - worth / self.amplitude[0]).detach()

    def potentials(self, x: Tensor, spikes: Tensor, state: tuple[Any, ...]) -> Tensor:
        return potentials_of_soft_reset(x, spikes, self.amplitude, decay=1.0)
