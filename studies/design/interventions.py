"""What the package has no option for, tried on a trial's network first: an option is made of what pays."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF


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
def set_counts(net: SpikerIR, highest: int) -> None:
    """Give every neuron another largest count D over the same range of potentials."""
    for neuron in net.modules():
        if isinstance(neuron, SignedILIF):
            neuron.log_threshold.add_(math.log(neuron.D / highest))
            neuron.D = neuron.max_count = highest
            neuron.lowest = -highest if neuron.lowest else 0


def counts_at(step: int, schedule: Mapping[int, int]) -> int:
    """The largest count of a schedule ``{first step: D}`` at a step."""
    return schedule[max(first for first in schedule if first <= step)]
