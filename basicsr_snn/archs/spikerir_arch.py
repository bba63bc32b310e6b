"""SpikerIR, the spiking student: a U-shaped encoder-decoder in which every convolution but the stem reads spikes."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.images.enlarging import BicubicEnlargement
from basicsr_snn.images.padding import cut, pad_to_multiple
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.spiking.base import HiddenNeuronOptions, NeuronOptions
from basicsr_snn.spiking.blocks import SpikingBlock, SpikingConv, SpikingUpsample, fold_spiking_convs
from basicsr_snn.spiking.neurons import carried_state, code_of, reset_to_rest

SIZES: dict[str, dict[str, tuple[int, ...]]] = {
    'tiny': {'channels': (12, 16), 'blocks': (2, 1)},
    'small': {'channels': (12, 24, 40), 'blocks': (3, 1, 1)},
    'fine': {'channels': (16, 24), 'blocks': (6, 2)},
    'base': {'channels': (16, 48, 96), 'blocks': (3, 2, 4)},
}
"""Presets: channels of each level, finest first, and blocks of each level (the last level is the middle)."""

SCALES = (1, 2, 3, 4)


@ARCH_REGISTRY.register()
class SpikerIR(Restorer):
    """Spiking image restorer, after the student of H-KD (arXiv 2504.01755) and rebuilt to be spike-driven (our choice).

    A float stem lifts the picture to membrane potentials, once, and drives every time step. Encoder, middle and decoder
    hold residual blocks with membrane shortcuts; levels are joined by strided and sub-pixel convolutions on spikes, and
    skips are added. The head reads spikes; its output is averaged over time and added to the input picture. For
    super-resolution the head makes ``scale`` x ``scale`` pixels of each (sub-pixel convolution, arXiv 1609.05158), and
    they are added to the picture enlarged by bicubic interpolation.
    Membrane potentials start from rest at every call, so no picture depends on another.

    Args:
        in_ch: Channels of the picture that it reads, such as 3 (RGB) or 1 (grey).
        size: Preset ``tiny`` (18 k parameters), ``small`` (83 k), ``fine`` (83 k, most of them at full resolution:
            better, at 2.5 times the dense arithmetic of ``small``) or ``base`` (0.93 M).
        channels: Channels of each level, finest first; overrides the preset.
        blocks: Residual blocks of each level; the last level is the middle, the others stand in encoder and decoder.
        T: Time steps, >= 1. May be changed on a built network (``net.T``), but for ``PhaseIF``
            and ``FirstSpikeIF``, whose steps they are.
        neuron: Neuron of all layers, a name of :data:`basicsr_snn.spiking.neurons.NEURONS` with its options;
            ``{type: relu}`` is the ANN twin.
        hidden: Options that differ from ``neuron`` between the two convolutions of a block; ``{lowest: 0}`` saves there
            the negative spikes, which only the residual stream needs (measured: docs/explanation/design.md).
        stages: Neurons of single parts, beside ``neuron`` and ``hidden`` of all others, for hybrid ANN-SNN networks:
            ``{encoder: {type: relu}, head: {type: LIFNode}}``. Parts are ``encoder.0``, ``down.0``, ``middle``,
            ``up.0``, ``decoder.0`` and so on, as in ``named_modules()``, ``head``, or all of a kind (``encoder``).
        norm: ``none``, or ``bn`` (folds into the convolutions for inference).
        weights: ``float``, or ``ternary`` for all convolutions but stem and head (scales as in LSQ, arXiv
            1902.08153); in the form that ships they take two bits each (:mod:`basicsr_snn.spiking.ternary`).
        exit_tolerance: In eval mode, stop before T when a step changes the running mean of the picture by less than
            this, on average over its pixels (0..1 scale; of a batch, in every picture). 0: always T steps.
            ``net.steps`` tells how many the last picture took.
        out_ch: Channels of the picture that it writes; None: those that it reads. The residual is added to the first
            channels where it writes fewer, to the mean of all where it writes more.
        scale: Factor by which it enlarges the picture, 1 to 4. The base is bicubic and not bilinear, since that
            is nearer to the truth by 0.4 to 1 dB for a hundredth or two of the energy (docs/explanation/design.md).

    Attributes:
        every_step: In training, answer with the running mean of the picture after each step, (T, N, ...).

    Shape:
        (N, in_ch, H, W) float32 in 0..1 to (N, out_ch, scale * H, scale * W), any H, W >= 1 (padded inside to a
        multiple of ``multiple_of``, mirrored where the picture is large enough, else replicated). Not clipped.

    Raises:
        UserError: Unknown size, norm, weights, part or scale, T or channels below 1, negative tolerance, channels and
            blocks that do not match, ternary weights with a norm, ``PhaseIF`` or ``FirstSpikeIF`` beside
            another neuron.

    .. code-block:: yaml

        network_g:
          type: SpikerIR
          size: small
          T: 1
          neuron: {type: SignedILIF, D: 4}
    """

    every_step = False

    def __init__(self, in_ch: int = 3, size: str = 'small', channels: Sequence[int] | None = None,
                 blocks: Sequence[int] | None = None, T: int = 1,  # noqa: N803
                 neuron: NeuronOptions | None = None, hidden: HiddenNeuronOptions | None = None,
                 stages: Mapping[str, NeuronOptions] | None = None, norm: str = 'none', weights: str = 'float',
                 exit_tolerance: float = 0.0, out_ch: int | None = None, scale: Literal[1, 2, 3, 4] = 1) -> None:
        super().__init__()
        channels, blocks = _widths(size, channels, blocks)
        if T < 1:
            raise UserError(f'SpikerIR was given T: {T}, but needs at least one time step; write T: 1 or more.')
        if norm not in ('none', 'bn'):
            raise UserError(f'SpikerIR was given norm: {norm}; write norm: none or norm: bn.')
        if weights not in ('float', 'ternary') or weights == 'ternary' and norm != 'none':
            raise UserError(f'SpikerIR was given weights: {weights} and norm: {norm}; write weights: float, or '
                            'weights: ternary with norm: none.')
        if exit_tolerance < 0:
            raise UserError(f'SpikerIR was given exit_tolerance: {exit_tolerance}; write 0 for always T steps, or a '
                            'small number such as 0.001.')
        out_ch = in_ch if out_ch is None else out_ch
        if min(in_ch, out_ch) < 1 or scale not in SCALES:
            raise UserError(f'SpikerIR was given in_ch: {in_ch}, out_ch: {out_ch} and scale: {scale}; write at least '
                            'one channel each, and scale: 1, 2, 3 or 4.')
        neuron = {'type': 'SignedILIF'} if neuron is None else neuron
        self.in_ch, self.out_ch, self.scale = in_ch, out_ch, scale
        self.T = self.steps = T
        self.exit_tolerance = exit_tolerance
        self.multiple_of = 2 ** (len(channels) - 1)
        self.receptive_field = _receptive_field(blocks)

        fine_to_coarse = range(len(channels) - 1)
        coarse_to_fine = fine_to_coarse[::-1]
        own = _neurons_of_parts(stages or {}, len(channels) - 1)

        def level(part: str, index: int) -> nn.Sequential:
            of_stream = own.get(part, neuron)
            of_hidden = of_stream if part in own else {**neuron, **(hidden or {})}
            return nn.Sequential(*[SpikingBlock(channels[index], of_stream, of_hidden, norm, weights)
                                   for _ in range(blocks[index])])

        self.stem = nn.Conv2d(in_ch, channels[0], 3, padding=1)
        self.encoder = nn.ModuleList([level(f'encoder.{i}', i) for i in fine_to_coarse])
        self.down = nn.ModuleList(
            [SpikingConv(channels[i], channels[i + 1], 3, own.get(f'down.{i}', neuron), norm, stride=2, weights=weights)
             for i in fine_to_coarse])
        self.middle = level('middle', len(channels) - 1)
        self.up = nn.ModuleList(
            [SpikingUpsample(channels[i + 1], channels[i], own.get(f'up.{place}', neuron), norm, weights)
             for place, i in enumerate(coarse_to_fine)])
        self.decoder = nn.ModuleList([level(f'decoder.{place}', i) for place, i in enumerate(coarse_to_fine)])
        self.head = SpikingConv(channels[0], out_ch * scale ** 2, 3, own.get('head', neuron), gain=0.1)
        self.enlarge = None if scale == 1 else BicubicEnlargement(scale)
        self._code = code_of(self, T)

    def forward(self, picture: Tensor) -> Tensor:
        padded = pad_to_multiple(picture, self.multiple_of)
        drive = self.stem(padded).to(picture.dtype).unsqueeze(0)
        if self.exit_tolerance and not self.training:
            residual = self._settled_residual(drive)
        else:
            steps = 1 if self.training and self._code else self.T
            try:
                residuals = self._residuals(drive.expand(steps, *drive.shape[1:]))
            finally:  # a tap may end a forward half-way
                reset_to_rest(self)
            residual = running_mean(residuals) if self.every_step and self.training else self._mean_of(residuals)
        return self._with_base(picture, padded, residual)

    def _with_base(self, picture: Tensor, padded: Tensor, residual: Tensor) -> Tensor:
        """The residual, of the head and of the padded picture, added to the picture in its own size."""
        height, width = (self.scale * side for side in picture.shape[-2:])
        if self.enlarge is None:
            base = self._in_written_channels(picture)
        else:
            base = cut(self.enlarge(self._in_written_channels(padded)), height, width)
            residual = F.pixel_shuffle(residual, self.scale)
        return base + cut(residual, height, width)

    def _in_written_channels(self, picture: Tensor) -> Tensor:
        written = self.written_channels
        if written <= self.in_ch:
            return picture if written == self.in_ch else picture[:, :written]
        return picture.mean(1, keepdim=True).expand(-1, written, -1, -1)

    def _mean_of(self, residuals: Tensor) -> Tensor:
        return self._code.mean(residuals) if self._code else residuals.mean(0)

    def _settled_residual(self, drive: Tensor) -> Tensor:
        """Running mean of the residual over time steps, up to the step that hardly changes it."""
        with carried_state(self):
            mean, steps = self._residuals(drive)[0], 1
            while steps < self.T:
                steps += 1
                change = (self._residuals(drive)[0] - mean) / steps
                mean = mean + change
                if change.abs().mean((1, 2, 3)).max() < self.exit_tolerance:
                    break
        self.steps = steps
        return mean

    def _residuals(self, x: Tensor) -> Tensor:
        """Membrane input (T, N, C, H, W) of the first level to the head's output (T, N, out_ch * scale ** 2, H, W)."""
        skips = []
        for blocks, down in zip(self.encoder, self.down, strict=True):
            x = blocks(x)
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for up, blocks in zip(self.up, self.decoder, strict=True):
            x = blocks(up(x) + skips.pop())
        return self.head(x)

    def answer_every_step(self) -> None:
        self.every_step = True

    def fold(self) -> SpikerIR:
        """Fold spike amplitudes and normalisation into the convolutions, in place, and return the network for
        inference.

        Each layer then reads integer spike counts with plain weights; pictures stay the same up to float rounding.
        """
        self.eval()
        fold_spiking_convs(self)
        return self


def running_mean(steps: Tensor) -> Tensor:
    """Mean of (T, ...) over the first 1, 2, ... T steps, of the same shape."""
    counts = torch.arange(1, len(steps) + 1, dtype=steps.dtype, device=steps.device)
    return steps.cumsum(0) / counts.view(-1, *[1] * (steps.dim() - 1))


def _receptive_field(blocks: Sequence[int]) -> int:
    """Sum over all convolutions, each of which looks a pixel of its own level farther: two in a block, one in stem,
    head and each down-sampling; and a pixel of the coarsest level may be seen from its far side. A bicubic base looks
    no farther than stem and head."""
    *outer, middle = (2 * count * 2 ** level for level, count in enumerate(blocks))
    down = sum(2 ** level for level in range(len(blocks) - 1))
    return 2 + 2 * sum(outer) + middle + down + 2 ** (len(blocks) - 1) - 1


def _neurons_of_parts(stages: Mapping[str, Mapping[str, Any]], junctions: int) -> dict[str, Mapping[str, Any]]:
    """The neuron of each part that ``stages`` names, by itself or by its kind."""
    parts = [f'{kind}.{i}' for kind in ('encoder', 'down', 'up', 'decoder') for i in range(junctions)]
    parts += ['middle', 'head']
    named = {*parts, *(part.split('.')[0] for part in parts)}
    for stage in stages:
        if stage not in named:
            raise UserError(f'SpikerIR has no part "{stage}" for stages; did you mean '
                            f'{" or ".join(near_matches(stage, named))}?')
    chosen = {part: stages.get(part, stages.get(part.split('.')[0])) for part in parts}
    return {part: neuron for part, neuron in chosen.items() if neuron is not None}


def _widths(size: str, channels: Sequence[int] | None,
            blocks: Sequence[int] | None) -> tuple[Sequence[int], Sequence[int]]:
    if size not in SIZES:
        raise UserError(f'SpikerIR has no size "{size}"; did you mean {" or ".join(near_matches(size, SIZES))}? '
                        f'Known: {", ".join(SIZES)}.')
    channels = channels or SIZES[size]['channels']
    blocks = blocks or SIZES[size]['blocks']
    if len(channels) != len(blocks):
        raise UserError(f'SpikerIR was given {len(channels)} channels {list(channels)} and {len(blocks)} blocks '
                        f'{list(blocks)}; give one of each for every level, finest first.')
    return channels, blocks
