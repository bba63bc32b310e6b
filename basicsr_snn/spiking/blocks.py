"""Spike-driven building blocks: membrane potentials in, membrane potentials out, spikes into every convolution.

All of them map (T, N, C, H, W) float32 to (T, N, C', H', W') float32. Time is folded into the batch for what has no
state.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.recorded import is_recorded
from basicsr_snn.spiking.base import Neuron
from basicsr_snn.spiking.neurons import build_neuron
from basicsr_snn.spiking.ternary import TernaryConv2d


class SpikeConv2d(nn.Conv2d):
    """A convolution that reads spikes: its input channels are scaled by what one spike is worth, inside the weights."""

    def forward(self, spikes: Tensor, amplitude: Tensor | None = None) -> Tensor:
        """Convolve spikes (N, C, H, W); ``amplitude`` is the membrane value of a spike for each channel, (C,)."""
        weight = self.weight if amplitude is None else self.weight * amplitude.view(1, -1, 1, 1)
        return self._conv_forward(spikes, weight, self.bias)


class SpikingConv(nn.Module):
    """neuron, convolution, normalisation: the only way in which a convolution stands in a spike-driven network.

    Args:
        in_channels: Channels of the membrane input.
        out_channels: Channels of the output current.
        kernel_size: Odd kernel size; padded to keep the size.
        neuron: The ``neuron:`` block of the options.
        norm: ``none``, or ``bn`` for batch normalisation over time and batch (folds away for inference).
        stride: Stride of the convolution.
        gain: Factor on the initial weights; below 1 for the last convolution of a residual branch.
        weights: ``float``, or ``ternary`` (:mod:`basicsr_snn.spiking.ternary`).

    Attributes:
        stand_in: What runs in place of the neuron for now, without a state of its own; None: the neuron.
        sends_values: In training at one time step, spikes travel as membrane values, which is faster on a GPU:
            :mod:`basicsr_snn.spiking.membrane_values`. ``events`` then holds the number of spikes of the last call.
    """

    stand_in: Callable[[Tensor], Tensor] | None = None
    sends_values = False
    events: Tensor | None = None
    neuron: Neuron
    conv: SpikeConv2d | TernaryConv2d
    norm: nn.BatchNorm2d | nn.Identity

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, neuron: Mapping[str, Any],
                 norm: str = 'none', stride: int = 1, gain: float = 1.0, weights: str = 'float') -> None:
        super().__init__()
        self.neuron = build_neuron(neuron, in_channels)
        kind: type[SpikeConv2d | TernaryConv2d] = TernaryConv2d if weights == 'ternary' else SpikeConv2d
        self.conv = kind(in_channels, out_channels, kernel_size, stride, kernel_size // 2)
        self.norm = nn.BatchNorm2d(out_channels) if norm == 'bn' else nn.Identity()
        self.amplitude_folded = False
        self.fits_bytes = self.neuron.is_spiking and self.neuron.max_count <= torch.iinfo(torch.int8).max
        self.scale_weights(gain)

    @torch.no_grad()
    def scale_weights(self, factor: float | Tensor) -> None:
        """Multiply the weights, in their training form."""
        self.conv.weight.mul_(factor)
        if isinstance(self.conv, TernaryConv2d):
            self.conv.fit_scales()

    def forward(self, x: Tensor) -> Tensor:
        if self.sends_values and self.training:
            values, self.events = self.neuron.membrane_values(x)
            current = self.conv(values.flatten(0, 1))
        elif self.stand_in is None:
            current = self._convolved_spikes(self.neuron(x))
        else:
            current = self.conv(self.stand_in(x).flatten(0, 1))
        current = self.norm(current).to(x.dtype)  # under autocast potentials stay float32
        return current.unflatten(0, x.shape[:2])

    def _convolved_spikes(self, spikes: Tensor) -> Tensor:
        amplitude = None if self.amplitude_folded else self.neuron.amplitude
        as_bytes = self.fits_bytes and torch.is_grad_enabled() and not is_recorded()
        with spikes_kept_as_bytes(spikes) if as_bytes else nullcontext():
            return self.conv(spikes.flatten(0, 1), amplitude)

    @torch.no_grad()
    def fold(self) -> None:
        """Fold spike amplitude and normalisation into the convolution, or pack its ternary weights, for inference.

        Behind a stand-in there are no spikes whose amplitude could be folded.
        """
        if isinstance(self.conv, TernaryConv2d):
            self.conv.pack_weights()
            return
        amplitude = self.neuron.amplitude
        if amplitude is not None and self.stand_in is None and not self.amplitude_folded:
            self.conv.weight.mul_(amplitude.view(1, -1, 1, 1))
            self.amplitude_folded = True
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv.weight, self.conv.bias = nn.utils.fusion.fuse_conv_bn_weights(
                self.conv.weight, self.conv.bias, self.norm.get_buffer('running_mean'),
                self.norm.get_buffer('running_var'), self.norm.eps, self.norm.weight, self.norm.bias)
            self.norm = nn.Identity()


def spikes_kept_as_bytes(spikes: Tensor) -> AbstractContextManager:
    """Context in which autograd keeps ``spikes`` as int8, a quarter of their memory, for the backward of what reads
    them."""
    address = spikes.data_ptr()
    return torch.autograd.graph.saved_tensors_hooks(
        lambda kept: (kept.to(torch.int8), kept.dtype) if kept.data_ptr() == address else (kept, kept.dtype),
        lambda kept: kept[0].to(kept[1]))


class SpikingBlock(nn.Module):
    """Residual block with a membrane shortcut: ``x + conv(neuron(conv(neuron(x))))`` (MS-ResNet, arXiv 2112.08954).

    The stream ``x`` is only ever added to, so it stays a membrane potential and no float enters a convolution.

    Args:
        channels: Channels of the stream.
        neuron: The ``neuron:`` block of the options, for the neuron that reads the stream.
        hidden: The same for the neuron between the convolutions.
        norm, weights: See :class:`SpikingConv`.
    """

    def __init__(self, channels: int, neuron: Mapping[str, Any], hidden: Mapping[str, Any], norm: str = 'none',
                 weights: str = 'float') -> None:
        super().__init__()
        self.body = nn.Sequential(
            SpikingConv(channels, channels, 3, neuron, norm, weights=weights),
            SpikingConv(channels, channels, 3, hidden, norm, gain=0.5, weights=weights),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class SpikingUpsample(nn.Module):
    """Twice the size: neuron, 1x1 convolution to four times the channels, sub-pixel shuffle (arXiv 1609.05158)."""

    def __init__(self, in_channels: int, out_channels: int, neuron: Mapping[str, Any], norm: str = 'none',
                 weights: str = 'float') -> None:
        super().__init__()
        self.expand = SpikingConv(in_channels, 4 * out_channels, 1, neuron, norm, weights=weights)

    def forward(self, x: Tensor) -> Tensor:
        current = self.expand(x)
        return F.pixel_shuffle(current.flatten(0, 1), 2).unflatten(0, x.shape[:2])


def spiking_convs(net: nn.Module) -> list[SpikingConv]:
    """The layers of a network that read spikes, in order of definition."""
    return [module for module in net.modules() if isinstance(module, SpikingConv)]


def fan_out_of(conv: nn.Conv2d) -> float:
    """Accumulations of one spike that enters a convolution, away from the borders."""
    taps = conv.kernel_size[0] * conv.kernel_size[1] / (conv.stride[0] * conv.stride[1])
    return conv.out_channels // conv.groups * taps


def fold_spiking_convs(net: nn.Module) -> None:
    """Fold amplitude and normalisation of every :class:`SpikingConv` in ``net`` into its convolution, in place."""
    for layer in spiking_convs(net):
        layer.fold()
