"""A student of counts run as a chip would run it: step by step, spikes of -1, 0 and 1 through plain convolutions.

The package itself runs whole counts, and phase coding by what its steps add up to. This is the other way, written from
the neuron's side, and shows that both are the same function: every convolution reads spikes of one time step only, and
a membrane that gathers them doubles its potential before each step, or, of times to first spikes, adds what all
spikes so far have sent.

.. code-block:: python

    net = basicsr_snn.load('spikerir_small_color25')
    steps = run_step_by_step(net)    # from now on the network runs so
    net(picture)
    steps.latency, steps.spikes
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.errors import UserError
from basicsr_snn.spiking.blocks import SpikeConv2d, SpikingConv
from basicsr_snn.spiking.neurons.phase import largest_count
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF

Code = Literal['phase', 'units', 'ttfs']
"""``phase``: digits, the largest first, each worth twice the next. ``units``: a spike for each unit of the count.
``ttfs``: a single spike, the earlier the larger the count, whose current stays on."""


@dataclass
class Steps:
    """What the steps of a network were since it runs so.

    Attributes:
        latency: Time steps one after the other that the layers of a picture take.
        spikes: Spikes sent.
        updates: What membranes do beside adding spikes, at most: in each step a neuron subtracts what it sent, and a
            membrane that gathers doubles, or adds its current; once a layer, each membrane adds its bias, and the
            stream adds the membrane.
        counts: The counts that each layer told by its spikes, in order of execution, for comparison.
    """

    latency: int = 0
    spikes: float = 0.0
    updates: int = 0
    counts: list[Tensor] = field(default_factory=list)


class StepByStepConv(nn.Module):
    """:class:`SpikingConv` in its steps: emit the spikes of a step, convolve them, gather them; then add the bias.

    Maps membrane input (1, N, C, H, W) to (1, N, C', H', W') as that layer does.

    Args:
        layer: A folded layer whose neuron emits counts in one step.
        digits: Steps of phase coding; in the other codes a layer takes as many steps as its largest count.
    """

    def __init__(self, layer: SpikingConv, code: Code, digits: int, steps: Steps) -> None:
        super().__init__()
        if not isinstance(layer.neuron, SignedILIF) or not isinstance(layer.conv, SpikeConv2d):
            raise _refusal()
        if not layer.amplitude_folded:
            raise _refusal()
        self.neuron: SignedILIF = layer.neuron
        self.conv: SpikeConv2d = layer.conv
        self.code, self.steps = code, steps
        self.length = digits if code == 'phase' else layer.neuron.D

    def forward(self, x: Tensor) -> Tensor:
        if len(x) != 1:
            raise _refusal()
        potential = self.potential_of(x[0])
        gathered, stays_on, count = torch.zeros(()), torch.zeros(()), torch.zeros_like(potential)
        for place in reversed(range(self.length)):
            spikes, worth = self.spikes_at(place, potential)
            potential = potential - worth * spikes
            current = F.conv2d(spikes, self.conv.weight, None, self.conv.stride, self.conv.padding)
            if self.code == 'ttfs':
                current = stays_on = stays_on + current
            gathered = (2 if self.code == 'phase' else 1) * gathered + current
            count = count + worth * spikes
            self.steps.spikes += float(spikes.abs().sum())
        if self.conv.bias is not None:
            gathered = gathered + self.conv.bias.view(-1, 1, 1)
        self.steps.latency += self.length
        self.steps.updates += self.length * (potential.numel() + gathered.numel()) + 2 * gathered.numel()
        self.steps.counts.append(count)
        return gathered.unsqueeze(0)

    def potential_of(self, current: Tensor) -> Tensor:
        """Membrane potential (N, C, H, W) in thresholds, which saturates at the ends of the counts."""
        neuron = self.neuron
        if neuron.bias is not None:
            current = current + neuron.bias.view(-1, 1, 1)
        return (current / neuron.log_threshold.exp().view(-1, 1, 1)).clamp(neuron.lowest, neuron.D)

    def spikes_at(self, place: int, potential: Tensor) -> tuple[Tensor, int]:
        """Spikes of a step, and what each of them is worth.

        A digit fires where the smaller ones could not tell the rest, rounded: above their largest sum and a half. A
        first spike fires as the threshold falls below the potential, rounded, and leaves nothing for another.
        """
        if self.code == 'units':
            worth, others = 1, 0
        elif self.code == 'ttfs':
            worth, others = place + 1, place
        else:
            worth, others = 2 ** place, largest_count(place, self.neuron.lowest < 0)
        return potential.sign() * (potential.abs() > others + 0.5), worth


def run_step_by_step(net: nn.Module, code: Code = 'phase') -> Steps:
    """Let a folded network for inference run step by step, in place.

    Args:
        net: Of ``SignedILIF`` neurons at T = 1, as the students of signed counts ship.
        code: How its counts are told.

    Raises:
        UserError: Other neurons, or ternary weights.
    """
    layers = {name: module for name, module in net.named_modules() if isinstance(module, SpikingConv)}
    neurons = [layer.neuron for layer in layers.values()]
    ranges = [(neuron.lowest, neuron.D) for neuron in neurons if isinstance(neuron, SignedILIF)]
    if not ranges:
        raise _refusal()
    digits = next(digits for digits in range(1, 64)
                  if all(largest_count(digits, lowest < 0) >= highest for lowest, highest in ranges))
    steps = Steps()
    for name, layer in layers.items():
        net.set_submodule(name, StepByStepConv(layer, code, digits, steps))
    return steps


def _refusal() -> UserError:
    return UserError('only students of SignedILIF at T: 1 with float weights, folded for inference, run step by step; '
                     'give one of those, as load("spikerir_small_color25") does.')
