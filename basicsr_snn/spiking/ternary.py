"""Ternary weights: -1, 0 or 1 times a scale, in two bits each.

The rule is that of TWN (arXiv 1605.04711); each output channel has a scale of its own, as in XNOR-Net (arXiv
1603.05279), which multiplies the finished sum and so costs as much as one scale for a layer.
"""
from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

THRESHOLD = 0.7
"""Weights below this share of the mean magnitude of their output channel become 0 (TWN)."""

WEIGHTS_A_BYTE = 4


def ternarise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Ternary form of a layer's weights.

    Args:
        weight: (O, ...), output channels first.

    Returns:
        Codes -1, 0, 1 (int8, the shape of ``weight``) and the scales (float32, (O, 1, ...)): the mean magnitude of the
        weights of an output channel that are not 0. Applied to ``codes * scale`` it gives the same codes and scales
        again, also where ``scale`` is one number for the whole layer, as older files have it.
    """
    magnitude = weight.detach().double().abs()  # sums of equal float32 are exact in float64
    of_channel = tuple(range(1, weight.dim()))
    kept = magnitude > THRESHOLD * magnitude.mean(of_channel, keepdim=True)
    scale = (magnitude * kept).sum(of_channel, keepdim=True) / kept.sum(of_channel, keepdim=True).clamp_min(1)
    return (weight.detach().sign() * kept).to(torch.int8), scale.float()


class TernaryWeight(torch.autograd.Function):
    """:func:`ternarise` as a float tensor, with the straight-through gradient."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        codes, scale = ternarise(weight)
        return codes.to(weight.dtype) * scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


def pack(codes: Tensor) -> Tensor:
    """Codes -1, 0, 1 of any shape, four a byte: (ceil(L / 4),) uint8."""
    flat = (codes.flatten() + 1).to(torch.uint8)
    filled = torch.cat([flat, flat.new_ones(-len(flat) % WEIGHTS_A_BYTE)]).view(-1, WEIGHTS_A_BYTE)
    return reduce(operator.or_, (filled[:, place] << (2 * place) for place in range(WEIGHTS_A_BYTE)))


def unpack(packed: Tensor, shape: torch.Size) -> Tensor:
    """The int8 codes of ``shape`` that :func:`pack` packed, by operators that ONNX has for int32."""
    places = torch.stack([packed.int() // 4**place % 4 for place in range(WEIGHTS_A_BYTE)], dim=1)
    return places.flatten()[:shape.numel()].view(shape).to(torch.int8) - 1


class TernaryConv2d(nn.Conv2d):
    """A convolution that reads spikes, with ternary weights.

    Trains the float weights behind the ternary ones; :meth:`pack_weights` keeps the codes only, for inference.
    Arguments are those of ``nn.Conv2d``.
    """

    codes: Tensor
    scale: Tensor
    packed_weights = 0
    """Number of weights that are held as codes."""

    def forward(self, spikes: Tensor, amplitude: Tensor | None = None) -> Tensor:
        """Convolve spikes (N, C, H, W); ``amplitude`` is the membrane value of a spike for each channel, (C,)."""
        weight = self.unpacked_weight() if self.packed_weights else TernaryWeight.apply(self.weight)
        if amplitude is not None:
            weight = weight * amplitude.view(1, -1, 1, 1)
        return self._conv_forward(spikes, weight, self.bias)

    @property
    def weight_shape(self) -> torch.Size:
        return torch.Size((self.out_channels, self.in_channels // self.groups, *self.kernel_size))

    def unpacked_weight(self) -> Tensor:
        """The weights as floats, from their codes."""
        return unpack(self.codes, self.weight_shape).float() * self.scale

    @torch.no_grad()
    def pack_weights(self) -> None:
        """Replace the float weights by codes and scale, in place."""
        if not self.packed_weights:
            codes, scale = ternarise(self.weight)
            self.packed_weights = self.weight.numel()
            del self.weight
            self.register_buffer('codes', pack(codes))
            self.register_buffer('scale', scale)


def packed_state(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """A state dict as it ships: the weights of ternary layers as ``NAME.codes`` and ``NAME.scale``, two bits each.

    Args:
        state: State dict of a network in its training form, not folded.
        net: The network it is of.
    """
    result = dict(state)
    for name, module in net.named_modules():
        if isinstance(module, TernaryConv2d):
            codes, scale = ternarise(result.pop(f'{name}.weight'))
            result.update({f'{name}.codes': pack(codes), f'{name}.scale': scale})
    return result


def unpacked_state(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """What :func:`packed_state` packed, with float weights again; any other state dict as it is."""
    result = dict(state)
    for name, module in net.named_modules():
        if isinstance(module, TernaryConv2d) and f'{name}.codes' in result:
            codes, scale = result.pop(f'{name}.codes'), result.pop(f'{name}.scale')
            result[f'{name}.weight'] = unpack(codes, module.weight_shape).float() * scale
    return result


def parameters_of(net: nn.Module) -> int:
    """Number of parameters of a network, those held as packed codes included."""
    packed = sum(getattr(module, 'packed_weights', 0) for module in net.modules())
    return sum(parameter.numel() for parameter in net.parameters()) + packed


def footprint_of(net: nn.Module) -> int:
    """Bytes of the parameters and buffers of a network."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*net.parameters(), *net.buffers()))
