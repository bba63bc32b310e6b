"""The 8-bit form of a spiking network: spike counts are small whole numbers already, only weights are rounded."""
from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.ao.quantization.fx import _decomposed  # noqa: F401 - registers torch.ops.quantized_decomposed
from torch.nn import functional as F

from basicsr_snn.errors import UserError
from basicsr_snn.spiking.blocks import SpikeConv2d, spiking_convs
from basicsr_snn.spiking.joint_rounding import Sides, round_together, watch_input_products
from basicsr_snn.spiking.ternary import TernaryConv2d

LARGEST = 127
"""Magnitude of the largest code; -128 stays free, so that weights are symmetric."""

Net = TypeVar('Net', bound=nn.Module)


class Int8Conv2d(nn.Conv2d):
    """A convolution of spike counts with weights of 8 bits: ``scale * (codes * counts) + bias``.

    The sums of products are whole numbers below 2**24 for every network of this package, which float32 holds exactly,
    so that the answer is that of 8-bit arithmetic with 32-bit accumulators. An exported graph holds the same as a
    convolution between QuantizeLinear and DequantizeLinear, which is how ONNX writes 8-bit arithmetic.

    Args:
        source: A convolution of a network for inference, with float or ternary weights.
        amplitude: What a spike is worth for each input channel, (C,), where the weights do not hold it yet, as those of
            ternary layers; None: they do.
        products: Mean products of the inputs under the kernel, (C k k, C k k), so that weights are rounded together;
            None: each is rounded to the nearest code.

    Attributes:
        codes: int8 (C', C, k, k), -127..127.
        scale: What one unit of a code is worth for each output channel, float32 (C',).

    Shape:
        (N, C, H, W) whole numbers in -128..127 to float32 (N, C', H', W').
    """

    codes: Tensor
    scale: Tensor

    def __init__(self, source: SpikeConv2d | TernaryConv2d, amplitude: Tensor | None = None,
                 products: Tensor | None = None) -> None:
        super().__init__(source.in_channels, source.out_channels, cast(Sides, source.kernel_size),
                         cast(Sides, source.stride), cast(Sides, source.padding))
        packed = isinstance(source, TernaryConv2d) and source.packed_weights
        weight = cast(TernaryConv2d, source).unpacked_weight() if packed else source.weight
        codes, scale = round_to_bytes(weight if amplitude is None else weight * amplitude.view(1, -1, 1, 1), products)
        del self.weight
        self.register_buffer('codes', codes)
        self.register_buffer('scale', scale)
        self.bias = source.bias

    def forward(self, counts: Tensor, amplitude: None = None) -> Tensor:
        """Convolve; what a spike is worth is in the weights, so that there is no ``amplitude``."""
        if torch.compiler.is_exporting():
            return self._quantised(counts)
        bias = None if self.bias is None else self.bias.view(-1, 1, 1)
        sums = F.conv2d(counts, self.codes.to(counts.dtype), None, self.stride, self.padding)
        scaled = sums * self.scale.view(-1, 1, 1)
        return scaled if bias is None else scaled + bias

    def _quantised(self, counts: Tensor) -> Tensor:
        bytes_ = torch.ops.quantized_decomposed.quantize_per_tensor(counts, 1.0, 0, -128, 127, torch.int8)
        counts = torch.ops.quantized_decomposed.dequantize_per_tensor(bytes_, 1.0, 0, -128, 127, torch.int8)
        weight = torch.ops.quantized_decomposed.dequantize_per_channel(
            self.codes, self.scale, torch.zeros_like(self.scale, dtype=torch.int64), 0, -128, 127, torch.int8)
        return F.conv2d(counts, weight, self.bias, self.stride, self.padding)


def round_to_bytes(weight: Tensor, products: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Weights (C', ...) as codes -127..127 and the worth of one unit for each output channel, (C',); together where the
    mean products of the inputs are given, else each for itself."""
    weight = weight.detach()
    if products is None:
        scale = weight.flatten(1).abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny) / LARGEST
        codes = (weight / scale.view(-1, *[1] * (weight.dim() - 1))).round()
    else:
        codes, scale = round_together(weight, products, LARGEST)
    return codes.to(torch.int8), scale


def has_int8_form(net: nn.Module) -> bool:
    """Whether a network has layers that read spikes, and all of them read whole counts that 8 bits hold."""
    layers = spiking_convs(net)
    return bool(layers) and all(layer.fits_bytes for layer in layers)


def to_int8(net: Net, pictures: Sequence[Tensor] = ()) -> Net:
    """A copy of a folded spiking network in which every convolution that reads spikes has weights of 8 bits.

    Stem, residual streams and membranes stay float32.

    Args:
        net: Folded, as :func:`basicsr_snn.inference.calling.deployed` answers it.
        pictures: Typical inputs, (N, C, H, W) in 0..1, on which the weights of a layer are rounded together, which
            loses less than half as much; none: each weight is rounded for itself. Counts need no pictures.

    Raises:
        UserError: It has no layer that reads spikes, one that reads floats, or counts that 8 bits do not hold.
    """
    if not has_int8_form(net):
        kinds = sorted({type(layer.neuron).__name__ for layer in spiking_convs(net) if not layer.fits_bytes})
        what = f'with {", ".join(kinds)}' if kinds else 'without spikes'
        raise UserError(f'the 8-bit form was asked of a network {what}; only layers that read whole spike counts of at '
                        'most 127 have it without calibration; take a spiking network, or leave --int8 out.')
    copy = deepcopy(net)
    layers = spiking_convs(copy)
    products = watch_input_products(net, pictures) if pictures else [None] * len(layers)
    for layer, mine in zip(layers, products, strict=True):
        if not isinstance(layer.conv, Int8Conv2d):
            amplitude = None if layer.amplitude_folded else layer.neuron.amplitude
            layer.conv = Int8Conv2d(layer.conv, amplitude, mine)  # type: ignore[assignment]  # it is for inference only
            layer.amplitude_folded = True
    return copy
