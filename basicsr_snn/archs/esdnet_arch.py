"""ESDNet, the published spiking peer: a U-shaped residual network whose shortcuts convolve membrane potentials."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.archs.esdnet_attention import CHANNEL_REDUCTION, MultiDimensionalAttention
from basicsr_snn.errors import UserError
from basicsr_snn.images.padding import pad_to_multiple
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.spiking.base import NEURONS, NeuronOptions
from basicsr_snn.spiking.blocks import SpikingConv, fold_spiking_convs
from basicsr_snn.spiking.neurons import build_neuron, reset_to_rest
from basicsr_snn.spiking.neurons.coded_counts import CodedCounts

SIZES: dict[str, dict[str, tuple[int, ...]]] = {
    'published': {'encoder_blocks': (4, 4, 8), 'decoder_blocks': (2, 2, 2)},
    'paper': {'encoder_blocks': (2, 2, 2, 2), 'decoder_blocks': (2, 2, 2, 0)},
}
"""Presets: residual blocks of each level, finest first. ``paper`` is the student that H-KD describes (arXiv
2504.01755: 48/96/192/384 channels, two blocks a level) made of these blocks, whose names it shares."""

PUBLISHED_THRESHOLD = 0.15
PUBLISHED_NEURON: Mapping[str, Any] = MappingProxyType(
    {'type': 'LIFNode', 'tau': 2.0, 'v_threshold': PUBLISHED_THRESHOLD, 'v_reset': 0.0, 'decay_input': False,
     'surrogate': 'sigmoid'})
"""LIF with hard reset, SpikingJelly's defaults but for the threshold and the input that does not decay."""

TDBN_ALPHA = 0.5 ** 0.5
REFINEMENT_REDUCTION = 8


class SpikingTdbnConv(SpikingConv):
    """neuron, convolution without bias, threshold-dependent batch normalisation (tdBN, arXiv 2011.05280).

    With time folded into the batch, tdBN is a batch normalisation whose scale begins at alpha * v_th; alpha is
    1/sqrt(2), since two branches are added. Folds exactly for inference, as its scale is the same at every step.

    Args:
        in_channels: Channels of the membrane input.
        out_channels: Channels of the output current.
        kernel_size: Odd kernel size; padded to keep the size.
        neuron: The ``neuron:`` block of the options.
        v_th: Threshold of the neuron that reads the output.
        stride: Stride of the convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, neuron: Mapping[str, Any], v_th: float,
                 stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, neuron, norm='bn', stride=stride)
        self.conv.bias = None
        nn.init.constant_(self.norm.get_parameter('weight'), TDBN_ALPHA * v_th)


class FloatTdbnConv(nn.Module):
    """3x3 convolution of membrane potentials, without a neuron before it, and tdBN; see :class:`SpikingTdbnConv`."""

    def __init__(self, channels: int, v_th: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(channels)
        nn.init.constant_(self.norm.weight, TDBN_ALPHA * v_th)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x.flatten(0, 1))).to(x.dtype).unflatten(0, x.shape[:2])

    def fold(self) -> None:
        """Fold the normalisation into the convolution, for inference."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = nn.utils.fusion.fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class SpikingResidualBlock(nn.Module):
    """``x + attention(body(x) + shortcut(x))``: two spiking convolutions, and one that reads the float ``x``.

    (T, N, C, H, W) to the same. The shortcut costs multiply-accumulates at every time step.
    """

    def __init__(self, channels: int, neuron: Mapping[str, Any], v_th: float, steps: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            SpikingTdbnConv(channels, channels, 3, neuron, v_th),
            SpikingTdbnConv(channels, channels, 3, neuron, 0.2 * v_th),
        )
        self.shortcut = FloatTdbnConv(channels, v_th)
        self.attention = MultiDimensionalAttention(steps, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attention(self.body(x) + self.shortcut(x))


class BilinearUpsample(nn.Module):
    """Twice the size: bilinear interpolation of the membrane potentials, then neuron, 3x3 convolution, tdBN."""

    def __init__(self, in_channels: int, out_channels: int, neuron: Mapping[str, Any], v_th: float) -> None:
        super().__init__()
        self.conv = SpikingTdbnConv(in_channels, out_channels, 3, neuron, v_th)

    def forward(self, x: Tensor) -> Tensor:
        larger = F.interpolate(x.flatten(0, 1), scale_factor=2, mode='bilinear', align_corners=False)
        return self.conv(larger.unflatten(0, x.shape[:2]))


class FeatureRefinement(nn.Module):
    """Blends a feature (N, C, H, W) with one value a channel: ``(1 - t) * a + t * x``, both gates computed from ``x``.

    ``a`` (N, C, 1, 1) is pooled over the picture, ``t`` (N, C, H, W) is convolved; float throughout.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // REFINEMENT_REDUCTION
        self.channel = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, hidden, 1), nn.ReLU(),
                                     nn.Conv2d(hidden, channels, 1), nn.Sigmoid())
        self.space = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1),
                                   nn.Conv2d(channels, hidden, 3, padding=1), nn.ReLU(),
                                   nn.Conv2d(hidden, channels, 3, padding=1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(self.channel(x).to(x.dtype).expand_as(x), x, self.space(x).to(x.dtype))


@ARCH_REGISTRY.register()
class ESDNet(Restorer):
    """ESDNet (Song et al., IJCAI 2024, arXiv 2405.06277), the spiking deraining network, as a peer to compare with.

    Our own implementation of the published network. The stem and one convolution of three in each residual block read
    floats, the latter at every time step; refinement and output convolution work on the mean over time. Each level has
    twice the channels of the one before; the finest decoder level has twice those of the finest encoder level, as its
    concatenated input is not reduced. Output is added to the picture.

    Ours: the stem runs once, for the same result, instead of once a step; pictures of any size; membrane potentials
    start from rest inside every call; ``neuron`` and ``T`` are options; ``fold()`` folds tdBN into the convolutions.

    ``T`` cannot be changed on a built network: the attention over time has weights for each step, and no step's gate is
    known before all steps are. Another ``T`` is another network, which must be trained. As attention pools over the
    whole picture, tiles do not give quite what the whole picture gives; the published tests run on tiles of 80 pixels
    (``val: {tile: 64, tile_pad: 8}``).

    Args:
        in_ch: Channels of the picture, 3 (RGB) or 1 (grey).
        dim: Channels of the finest encoder level, >= 16. Published: 48 (12,811,463 parameters).
        size: Preset of blocks: ``published`` (three levels), or ``paper`` (four; H-KD's student, 15 M parameters).
        encoder_blocks: Residual blocks of the encoder levels, finest first, at least 1 each; overrides the preset.
        decoder_blocks: The same of the decoder levels, the last of which is as coarse as the encoder's, and may be 0.
        T: Time steps, >= 1, a part of the weights.
        neuron: Neuron of all layers, a name of :data:`basicsr_snn.spiking.neurons.NEURONS` with its options; by default
            the published one (:data:`PUBLISHED_NEURON`). tdBN begins at its threshold. ``{type: relu}`` is the ANN
            twin.

    Shape:
        (N, in_ch, H, W) float32 in 0..1 to the same, any H, W >= 1 (padded inside to a multiple of ``multiple_of``,
        mirrored where the picture is large enough, else replicated). Output is not clipped.

    Raises:
        UserError: Unknown size, ``dim`` below 16, ``T`` below 1, blocks that do not match, or ``T`` changed after
            building.

    .. code-block:: yaml

        network_g:
          type: ESDNet
          dim: 48
          encoder_blocks: [4, 4, 8]
          decoder_blocks: [2, 2, 2]
          T: 4
          neuron: {type: LIFNode, v_threshold: 0.15, decay_input: false, surrogate: sigmoid}
    """

    def __init__(self, in_ch: int = 3, dim: int = 48, encoder_blocks: Sequence[int] | None = None,
                 decoder_blocks: Sequence[int] | None = None, T: int = 4,  # noqa: N803
                 neuron: NeuronOptions | None = None, size: str = 'published') -> None:
        super().__init__()
        encoder_blocks, decoder_blocks = _blocks(size, encoder_blocks, decoder_blocks)
        _check(dim, encoder_blocks, decoder_blocks, T, neuron or PUBLISHED_NEURON)
        self.in_ch = in_ch
        self.multiple_of = 2 ** (len(encoder_blocks) - 1)
        neuron = PUBLISHED_NEURON if neuron is None else neuron
        v_th = threshold_of(neuron)
        self._steps = T

        def level(channels: int, blocks: int) -> nn.Sequential:
            return nn.Sequential(*[SpikingResidualBlock(channels, neuron, v_th, T) for _ in range(blocks)])

        wide = [dim * 2 ** level for level in range(len(encoder_blocks))]
        self.stem = nn.Conv2d(in_ch, dim, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList([level(c, b) for c, b in zip(wide, encoder_blocks, strict=True)])
        self.down = nn.ModuleList(
            [SpikingTdbnConv(c, 2 * c, 3, neuron, v_th, stride=2) for c in wide[:-1]])
        self.decoder = nn.ModuleList(
            [level(c, b) for c, b in zip([*wide[:0:-1], 2 * dim], reversed(decoder_blocks), strict=True)])
        self.up = nn.ModuleList([BilinearUpsample(2 * c, c, neuron, v_th) for c in reversed(wide[:-1])])
        self.reduce = nn.ModuleList(
            [*[SpikingTdbnConv(2 * c, c, 1, neuron, v_th) for c in wide[-2:0:-1]], nn.Identity()])
        self.refinement = FeatureRefinement(2 * dim)
        self.head = nn.Conv2d(2 * dim, in_ch, 3, padding=1)

    @property
    def T(self) -> int:  # noqa: N802 - the name of the option
        """Time steps; see the class for why they are fixed."""
        return self._steps

    @T.setter
    def T(self, steps: int) -> None:  # noqa: N802
        if steps != self._steps:
            raise UserError(f'T: {steps} was asked of an ESDNet with T: {self._steps}, but its attention over time has '
                            f'weights for {self._steps} steps; build one with T: {steps} and train it.')

    def forward(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        try:
            residual = self.head(self.refinement(self._features(pad_to_multiple(picture, self.multiple_of)).mean(0)))
        finally:
            reset_to_rest(self)
        return picture + residual[..., :height, :width]

    def _features(self, picture: Tensor) -> Tensor:
        """Membrane potentials (T, N, 2 * dim, H, W) of the finest decoder level; H and W divide by ``multiple_of``."""
        x = self.stem(picture).to(picture.dtype)  # under autocast potentials stay float32
        x = self.encoder[0](x.unsqueeze(0).expand(self.T, *x.shape))
        skips = []
        for down, blocks in zip(self.down, self.encoder[1:], strict=True):
            skips.append(x)
            x = blocks(down(x))
        x = self.decoder[0](x)
        for up, reduce, blocks in zip(self.up, self.reduce, self.decoder[1:], strict=True):
            x = blocks(reduce(concatenate(up(x), skips.pop())))
        return x

    def fold(self) -> ESDNet:
        """Fold spike amplitudes and tdBN into the convolutions, in place, and return the network for inference.

        Pictures stay the same up to float rounding. The shortcut convolutions still read floats.
        """
        self.eval()
        fold_spiking_convs(self)
        for module in self.modules():
            if isinstance(module, FloatTdbnConv):
                module.fold()
        return self


def concatenate(x: Tensor, skip: Tensor) -> Tensor:
    """Join channels of two (T, N, C, H, W), time folded: `torch.cat` keeps channels_last of four dimensions only."""
    return torch.cat([x.flatten(0, 1), skip.flatten(0, 1)], dim=1).unflatten(0, x.shape[:2])


def threshold_of(neuron: Mapping[str, Any]) -> float:
    """Threshold of a ``neuron:`` block, which tdBN begins at: its own, or the published one where it has none
    (``relu``)."""
    threshold = build_neuron(neuron, 1).initial_threshold
    return PUBLISHED_THRESHOLD if threshold is None else threshold


def _blocks(size: str, encoder_blocks: Sequence[int] | None,
            decoder_blocks: Sequence[int] | None) -> tuple[Sequence[int], Sequence[int]]:
    if size not in SIZES:
        raise UserError(f'ESDNet has no size "{size}"; write size: {" or size: ".join(SIZES)}.')
    return encoder_blocks or SIZES[size]['encoder_blocks'], decoder_blocks or SIZES[size]['decoder_blocks']


def _check(dim: int, encoder_blocks: Sequence[int], decoder_blocks: Sequence[int], steps: int,
           neuron: Mapping[str, Any]) -> None:
    kind = NEURONS.get(str(neuron.get('type')))
    if isinstance(kind, type) and issubclass(kind, CodedCounts):
        raise UserError(f'ESDNet was given neuron: {kind.__name__}, whose steps are not worth the same, but it weighs '
                        f'steps by itself; take another neuron, or {kind.__name__} in SpikerIR.')
    if dim < CHANNEL_REDUCTION:
        raise UserError(f'ESDNet was given dim: {dim}, but its attention needs {CHANNEL_REDUCTION} or more channels; '
                        'write dim: 24 or the published 48.')
    if steps < 1:
        raise UserError(f'ESDNet was given T: {steps}, but needs at least one time step; write T: 4, as published.')
    if len(encoder_blocks) != len(decoder_blocks) or len(encoder_blocks) < 2 or \
            min(*encoder_blocks, *decoder_blocks[:-1]) < 1 or decoder_blocks[-1] < 0:
        raise UserError(f'ESDNet was given encoder_blocks: {list(encoder_blocks)} and decoder_blocks: '
                        f'{list(decoder_blocks)}, but needs as many of both, finest level first, of at least 1 (the '
                        'last of the decoder of at least 0); write encoder_blocks: [4, 4, 8] and decoder_blocks: '
                        '[2, 2, 2].')
