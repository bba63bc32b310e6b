"""Ternary weights: -1, 0 or 1 times a scale, in two bits each.

Each output channel has a scale of its own, which multiplies the finished sum and so costs as much as one for a layer.
Scales are learnt with the weights, by the gradient of LSQ (arXiv 1902.08153); they begin as TWN sets them (arXiv
1605.04711), the mean magnitude of the weights that are not 0.
"""
from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

THRESHOLD = 0.7
"""Weights below this share of the mean magnitude of their output channel are 0 for TWN."""

WEIGHTS_A_BYTE = 4


def twn_scale(weight: Tensor) -> Tensor:
    """Scales that TWN gives weights (O, ...), float32 (O, 1, ...); of weights ``codes * scale`` that same scale."""
    magnitude = weight.detach().double().abs()  # sums of equal float32 are exact in float64
    of_channel = tuple(range(1, weight.dim()))
    kept = magnitude > THRESHOLD * magnitude.mean(of_channel, keepdim=True)
    return ((magnitude * kept).sum(of_channel, keepdim=True) / kept.sum(of_channel, keepdim=True).clamp_min(1)).float()


def ternary_codes(weight: Tensor, scale: Tensor) -> Tensor:
    """The nearest of -1, 0, 1 times ``scale`` for each weight, as int8 codes of the shape of ``weight``."""
    return (weight.detach() / scale.detach()).clamp(-1, 1).round().to(torch.int8)


class TernaryWeight(torch.autograd.Function):
    """Weights (O, ...) and scales (O, 1, ...) to ``codes * scale``, with the gradients of LSQ: straight through for
    weights within the scale, and for the scale what rounding and the limits move."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor) -> Tensor:
        ratio = weight / scale
        codes = ratio.clamp(-1, 1).round()
        ctx.save_for_backward(ratio, codes)
        return codes * scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        ratio, codes = ctx.saved_tensors
        within = ratio.abs() <= 1
        moved = torch.where(within, codes - ratio, codes)
        of_channel = tuple(range(1, grad.dim()))
        share = grad[0].numel() ** -0.5  # LSQ's, so that a scale moves no faster than a weight
        return grad * within, share * (grad * moved).sum(of_channel, keepdim=True)


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

    Trains the float weights behind the ternary ones and their scales; :meth:`pack_weights` keeps codes and scales only,
    for inference. Arguments are those of ``nn.Conv2d``.
    """

    codes: Tensor
    scale: Tensor
    packed_weights = 0
    """Number of weights and scales of a layer that holds its weights as codes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.scale = nn.Parameter(twn_scale(self.weight))

    @torch.no_grad()
    def fit_scales(self) -> None:
        """Give the weights, as they are now, the scales of TWN; for whoever changed them otherwise than by training."""
        self.scale.copy_(twn_scale(self.weight))

    def forward(self, spikes: Tensor, amplitude: Tensor | None = None) -> Tensor:
        """Convolve spikes (N, C, H, W); ``amplitude`` is the membrane value of a spike for each channel, (C,)."""
        weight = self.unpacked_weight() if self.packed_weights else TernaryWeight.apply(self.weight, usable(self.scale))
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
        """Replace the float weights by codes and scales, in place."""
        if not self.packed_weights:
            scale = usable(self.scale.detach())
            self.packed_weights = self.weight.numel() + scale.numel()
            codes = pack(ternary_codes(self.weight, scale))
            del self.weight, self.scale
            self.register_buffer('codes', codes)
            self.register_buffer('scale', scale)


def usable(scale: Tensor) -> Tensor:
    """Scales as they are used: above 0, whatever a training made of them."""
    return scale.abs().clamp_min(torch.finfo(scale.dtype).tiny)


def packed_state(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """A state dict as it ships: the weights of ternary layers as ``NAME.codes``, two bits each, and ``NAME.scale``.

    Args:
        state: State dict of a network in its training form, not folded.
        net: The network it is of.
    """
    result = dict(state)
    for name, module in net.named_modules():
        if isinstance(module, TernaryConv2d):
            weight, scale = result.pop(f'{name}.weight'), usable(result[f'{name}.scale'])
            result.update({f'{name}.codes': pack(ternary_codes(weight, scale)), f'{name}.scale': scale})
    return result


def unpacked_state(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """A state dict in the form in which ternary layers train: what :func:`packed_state` packed has float weights again,
    also where a file of before has one scale for a whole layer, and float weights without scales get those of TWN."""
    result = dict(state)
    for name, module in net.named_modules():
        if not isinstance(module, TernaryConv2d):
            continue
        if f'{name}.codes' in result:
            codes, scale = result.pop(f'{name}.codes'), result[f'{name}.scale']
            result[f'{name}.weight'] = unpack(codes, module.weight_shape).float() * scale
            result[f'{name}.scale'] = scale.expand(module.scale.shape).clone()
        elif f'{name}.weight' in result and f'{name}.scale' not in result:
            result[f'{name}.scale'] = twn_scale(result[f'{name}.weight'])
    return result


def parameters_of(net: nn.Module) -> int:
    """Number of parameters of a network, weights held as packed codes and their scales included."""
    packed = sum(getattr(module, 'packed_weights', 0) for module in net.modules())
    return sum(parameter.numel() for parameter in net.parameters()) + packed


def footprint_of(net: nn.Module) -> int:
    """Bytes of the parameters and buffers of a network."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*net.parameters(), *net.buffers()))
