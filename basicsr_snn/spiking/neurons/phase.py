"""Phase coding: a spike count told by a few weighted spikes, the first worth most, instead of one spike a unit."""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.spiking.base import Neuron, register_neuron
from basicsr_snn.spiking.membrane_values import MembraneValues
from basicsr_snn.spiking.neurons.signed_ilif import SignedCounts


def digits(counts: Tensor, steps: int, signed: bool) -> Tensor:
    """Integer counts as digits to the base 2, most significant first.

    Args:
        counts: Integer-valued floats of any shape.
        steps: Number of digits T.
        signed: Digits -1, 0, 1 in non-adjacent form (Reitwiesner, 1960), of all signed forms the one with the fewest
            digits that are not 0; else binary digits of counts >= 0.

    Returns:
        (T, ...) floats s with ``counts = sum(2 ** (T - 1 - t) * s[t])``.
    """
    found = []
    for _ in range(steps):
        odd = counts.remainder(2)
        digit = odd * (2 - counts.remainder(4)) if signed else odd
        counts = (counts - digit) / 2
        found.append(digit)
    return torch.stack(found[::-1])


def largest_count(steps: int, signed: bool) -> int:
    """The largest count that so many digits tell: 15 for four binary ones, 10 for four signed ones."""
    return 2 ** (steps + 1) // 3 if signed else 2 ** steps - 1


def phase_mean(sequence: Tensor) -> Tensor:
    """What a sequence (T, ...) stands for in phase coding: its mean with weights 2^(T-1), ..., 2, 1.

    Computed as a membrane does that doubles its potential before each current (Horner's scheme).
    """
    potential = sequence[0]
    for current in sequence[1:]:
        potential = 2 * potential + current
    return potential / (2 ** len(sequence) - 1)


@register_neuron('PhaseIF')
class PhaseIF(Neuron, nn.Module):
    r"""Integrate-and-fire neuron in phase coding: at most one spike a step, worth half of one of the step before.

    The potential doubles before each current arrives. When all T have arrived, the neuron emits the count that
    :class:`~basicsr_snn.spiking.neurons.signed_ilif.SignedILIF` would emit in one step, as digits, the largest first:

    .. math::
        h = \frac{1}{2^T - 1} \sum_t 2^{T-1-t} x[t], \qquad
        k = \mathrm{round}(\mathrm{clip}(h / \theta_c, L, D)) = \sum_t 2^{T-1-t} s[t]

    So a network of these answers as the same weights do with ``SignedILIF`` at T = 1, with a spike for each digit that
    is not 0 instead of one for each unit of the count. In training mode it runs in that form, a single step of whole
    counts, which is the same function in a fraction of the time. The price is latency: a layer begins to emit when the
    one before has ended, T steps later. Weighted spikes are Kim et al.'s (Neurocomputing 311, 2018), signed ones those
    of Canonic Signed Spike Coding (arXiv 2408.17245), training by integers and running by binary digits is that of
    IB-LIF (arXiv 2506.05679); the learnable threshold of each channel is our choice.

    Args:
        channels: Number of channels C.
        steps: Time steps T, the network's, 1..7.
        lowest: Smallest count L. 0: spikes are 0 or 1. Below: signed digits, spikes are -1, 0 or 1.
        highest: Largest count D; None: all that the digits can tell.
        threshold: Initial threshold of one unit of the count, > 0, in the unit of the membrane potential.
        bias: A learnable current into each channel, so that counts from 0 on can tell potentials of both signs.

    Raises:
        UserError: A count that the digits cannot tell, a threshold that is not positive; when run, another number of
            steps.

    Shape:
        ``(T, N, C, H, W)`` membrane input to spikes of the same shape; in training mode (1, N, C, H, W) to counts.

    .. code-block:: yaml

        T: 4
        neuron: {type: PhaseIF, steps: 4}
    """

    whole_sequence = True
    compiled = False

    def __init__(self, channels: int, steps: int = 4, lowest: int = 0, highest: int | None = None,
                 threshold: float = 0.1, bias: bool = False) -> None:
        super().__init__()
        limit = largest_count(steps, lowest < 0) if 1 <= steps <= 7 else 0
        highest = limit if highest is None else highest
        if not (-limit <= lowest <= 0 < highest <= limit) or threshold <= 0:
            raise UserError(f'PhaseIF was given steps: {steps}, lowest: {lowest}, highest: {highest} and threshold: '
                            f'{threshold}; so many steps tell counts of at most {limit}; write steps: 1 to 7, '
                            'lowest: 0 or below and a threshold above 0.')
        self.steps, self.lowest = int(steps), int(lowest)
        self.highest = self.digit_limit = int(highest)
        self.is_signed = lowest < 0 or bias
        self.register_buffer('limits', torch.tensor([self.lowest, self.highest], dtype=torch.float32), persistent=False)
        self.log_threshold = nn.Parameter(torch.full((channels,), math.log(threshold)))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    @property
    def amplitude(self) -> Tensor:
        """What one spike adds to the current of its step, (C,): a spike in each step stands for 2^T - 1 thresholds."""
        return self.log_threshold.exp() * (1 if self.training else 2 ** self.steps - 1)

    def forward(self, x: Tensor) -> Tensor:
        self.check_steps(self.steps if self.training else len(x))
        potential = phase_mean(x).unsqueeze(0)
        if self.bias is not None:
            potential = potential + self.bias.view(-1, 1, 1)
        counts = SignedCounts.apply(potential, self.log_threshold.exp(), self.lowest, self.highest, 0.0)
        return counts if self.training else digits(counts[0], self.steps, self.lowest < 0)

    def membrane_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`SignedILIF.membrane_values`, for the whole counts of training."""
        if self.bias is not None:
            x = x + self.bias.view(-1, 1, 1)
        return MembraneValues.apply(x, self.log_threshold.exp(), self.limits, self.compiled)

    def check_steps(self, steps: int) -> None:
        """Raise ``UserError`` if a network has another number of time steps than the neuron has digits."""
        if steps != self.steps:
            raise UserError(f'PhaseIF was given {steps} time steps but emits {self.steps} digits; write the same '
                            f'number twice: T: {self.steps} and neuron: {{type: PhaseIF, steps: {self.steps}}}.')

    def extra_repr(self) -> str:
        return (f'channels={self.log_threshold.numel()}, steps={self.steps}, lowest={self.lowest}, '
                f'highest={self.highest}, bias={self.bias is not None}')


def phase_form(network: Mapping[str, Any]) -> dict[str, Any]:
    """The ``network_g:`` block that runs the weights of a one-step ``SignedILIF`` student in phase coding.

    Raises:
        UserError: Another neuron, or more steps than one, whose counts would have to be told in their own order.
    """
    neuron = {'type': 'SignedILIF', **network.get('neuron', {})}
    hidden = {**neuron, **network.get('hidden', {})}
    stages = network.get('stages', {})
    if network.get('T', 1) != 1 or any(one.get('type') != 'SignedILIF' for one in (neuron, hidden, *stages.values())):
        raise UserError(f'phase coding was asked of T: {network.get("T", 1)} and neuron: {neuron["type"]}; give it a '
                        'student with T: 1 and SignedILIF everywhere.')
    ranges = [(one.get('lowest', -one.get('D', 4)), one.get('D', 4)) for one in (neuron, hidden, *stages.values())]
    steps = next(steps for steps in range(1, 64)
                 if all(largest_count(steps, lowest < 0) >= highest for lowest, highest in ranges))

    def of(spec: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in spec.items() if key in ('threshold', 'bias')}
        highest = spec.get('D', 4)
        return {'type': 'PhaseIF', 'steps': steps, 'lowest': spec.get('lowest', -highest), 'highest': highest, **kept}

    return {**network, 'T': steps, 'neuron': of(neuron), 'hidden': of(hidden),
            'stages': {name: of(spec) for name, spec in stages.items()}}


def count_form(network: Mapping[str, Any]) -> dict[str, Any]:
    """The ``network_g:`` block that runs the weights of a phase-coded student on whole counts in one step.

    It answers with the same pictures; its state dict has the same names. A block without ``PhaseIF`` stays as it is.
    """
    neuron = network.get('neuron', {})
    if neuron.get('type') != 'PhaseIF':
        return dict(network)

    def of(spec: Mapping[str, Any]) -> dict[str, Any]:
        whole = {**neuron, **spec}
        lowest = whole.get('lowest', 0)
        highest = whole.get('highest') or largest_count(whole.get('steps', 4), lowest < 0)
        kept = {key: value for key, value in whole.items() if key in ('threshold', 'bias')}
        return {'type': 'SignedILIF', 'D': max(highest, -lowest), 'lowest': lowest, **kept}

    counted = {**network, 'T': 1, 'neuron': of(neuron)}
    if 'hidden' in network:
        counted['hidden'] = of(network['hidden'])
    if 'stages' in network:
        counted['stages'] = {name: of(spec) for name, spec in network['stages'].items()}
    return counted
