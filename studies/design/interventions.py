"""What the package has no option for, tried on a trial's network first: an option is made of what pays."""
from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.spiking.blocks import SpikeConv2d
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF

NOISE = 25 / 255
EDGES = torch.tensor([[[0, 1, 0], [1, -4, 1], [0, 1, 0]], [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
                      [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]], dtype=torch.float32)
"""Laplace's and Sobel's kernels, (3, 3, 3)."""


def _levels(net: SpikerIR) -> Iterator[nn.Sequential]:
    yield from (*net.encoder, net.middle, *net.decoder)


@torch.no_grad()
def scale_branches(net: SpikerIR, factor: float) -> None:
    """Multiply the initial weights of the last convolution of every residual branch."""
    for level in _levels(net):
        for block in level:
            block.body[-1].conv.weight.mul_(factor)


def share_blocks(net: SpikerIR) -> None:
    """Make one block of those of each level, run as often as before: the stream is refined by recurrence."""
    for level in _levels(net):
        for place in range(1, len(level)):
            level[place] = level[0]


@torch.no_grad()
def set_counts(net: nn.Module, highest: int) -> None:
    """Give every neuron another largest count D over the same range of potentials."""
    for neuron in net.modules():
        if isinstance(neuron, SignedILIF):
            neuron.log_threshold.add_(math.log(neuron.D / highest))
            neuron.D = neuron.max_count = highest
            neuron.lowest = -highest if neuron.lowest else 0


def counts_at(step: int, schedule: Mapping[int, int]) -> int:
    """The largest count of a schedule ``{first step: D}`` at a step."""
    return schedule[max(first for first in schedule if first <= step)]


@torch.no_grad()
def similar_mean(picture: Tensor, radius: int = 6, patch: int = 5, softness: float = 0.6) -> Tensor:
    """Non-local mean (Buades et al., CVPR 2005) of noisy pictures (N, C, H, W): of each pixel those within ``radius``,
    by how much their patches differ beyond the noise. The pixel itself weighs as much as the most similar one."""
    height, width = picture.shape[-2:]
    edge = patch // 2
    padded = F.pad(picture.contiguous(), [radius + edge] * 4, mode='reflect')
    tall, wide = height + 2 * edge, width + 2 * edge
    here = padded[..., radius:radius + tall, radius:radius + wide]
    total, weights, most = torch.zeros_like(picture), torch.zeros_like(picture[:, :1]), torch.zeros_like(picture[:, :1])
    for top, left in product(range(2 * radius + 1), repeat=2):
        if top == left == radius:
            continue
        other = padded[..., top:top + tall, left:left + wide]
        rows = (here - other).square_().mean(1, keepdim=True)
        rows = sum(rows[..., row:row + height, :] for row in range(1, patch)) + rows[..., :height, :]
        distance = sum(rows[..., column:column + width] for column in range(1, patch)) + rows[..., :width]
        beyond = distance.div_(patch ** 2).sub_(2 * NOISE ** 2).clamp_min_(0)
        weight = beyond.mul_(-1 / (softness * NOISE) ** 2).exp_()
        total.addcmul_(weight, other[..., edge:edge + height, edge:edge + width])
        weights, most = weights.add_(weight), torch.maximum(most, weight, out=most)
    return total.addcmul_(most, picture).div_(weights.add_(most).clamp_min_(1e-6))


class EvidenceStem(nn.Module):
    """A stem that reads the picture and the mean of what is similar in it, the latter with weights that begin at 0."""

    def __init__(self, stem: nn.Conv2d) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * stem.in_channels, stem.out_channels, 3, padding=1)
        with torch.no_grad():
            self.conv.weight.zero_()[:, :stem.in_channels] = stem.weight
            self.conv.bias.copy_(stem.bias)

    def forward(self, picture: Tensor) -> Tensor:
        return self.conv(torch.cat([picture, similar_mean(picture)], 1))


def see_similar_patches(net: SpikerIR) -> None:
    net.stem = EvidenceStem(net.stem)  # type: ignore[assignment]


class Branches(nn.Module):
    """A 3x3 kernel as the sum of itself, a 1x1 kernel, identity and edge kernels (ECBSR, MM 2021); all of it folds."""

    def __init__(self, out_channels: int, in_channels: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_channels)
        self.point = nn.Parameter(torch.empty(out_channels, in_channels).uniform_(-bound, bound) / 3)
        self.edges = nn.Parameter(torch.empty(len(EDGES), out_channels, in_channels).uniform_(-bound, bound))
        self.strength = nn.Parameter(torch.full((len(EDGES), out_channels, 1), 0.05))
        self.identity = nn.Parameter(torch.zeros(())) if out_channels == in_channels else None

    def forward(self, kernel: Tensor) -> Tensor:
        middle = self.point if self.identity is None else self.point + self.identity * torch.eye(len(self.point))
        edges = torch.einsum('foi,fhw->oihw', self.strength * self.edges, EDGES)
        return kernel + edges + F.pad(middle[:, :, None, None], [1, 1, 1, 1])


def train_in_branches(net: SpikerIR) -> None:
    for conv in net.modules():
        if isinstance(conv, SpikeConv2d) and conv.kernel_size == (3, 3):
            parametrize.register_parametrization(conv, 'weight', Branches(conv.out_channels, conv.in_channels))


@torch.no_grad()
def without_branches(net: nn.Module) -> nn.Module:
    """A network in which every kernel is one tensor: itself, or a copy."""
    summed = [name for name, module in net.named_modules() if parametrize.is_parametrized(module, 'weight')]
    folded = copy.deepcopy(net) if summed else net
    for name in summed:
        conv = net.get_submodule(name)
        plain = SpikeConv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
        plain.load_state_dict({'weight': conv.weight, 'bias': conv.bias})
        folded.set_submodule(name, plain)
    return folded


def go_down_by_haar(net: SpikerIR) -> None:
    """Kernels of 2x2 in place of the strided 3x3: a Haar transform and a 1x1 convolution of its bands are the same
    function. Going up, a 1x1 convolution and a sub-pixel shuffle are that already."""
    for layer in net.down:
        layer.conv = SpikeConv2d(layer.conv.in_channels, layer.conv.out_channels, 2, 2)


def dilate(net: SpikerIR) -> None:
    """The last block of each outer level looks at every second pixel."""
    for level in (*net.encoder, *net.decoder):
        for layer in level[-1].body:
            layer.conv.dilation = layer.conv.padding = (2, 2)


def count_coarsely(net: SpikerIR) -> None:
    """Counts of at most 4 where the picture is smallest."""
    for part in (net.middle, net.up):
        set_counts(part, 4)


CHANGES: dict[str, Callable[[SpikerIR], None]] = {
    'similar': see_similar_patches, 'branches': train_in_branches, 'haar': go_down_by_haar, 'dilated': dilate,
    'coarse': count_coarsely}
"""What ``change`` of a recipe may name."""
