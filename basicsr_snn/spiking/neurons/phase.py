"""Phase coding: a spike count told by a few weighted spikes, the first worth most, instead of one spike a unit."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from basicsr_snn.spiking.base import register_neuron
from basicsr_snn.spiking.neurons.coded_counts import CodedCounts, coded_form
from basicsr_snn.spiking.neurons.coded_counts import count_form as count_form


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
class PhaseIF(CodedCounts):
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

    most_steps = 7

    @staticmethod
    def largest_count(steps: int, signed: bool) -> int:
        return largest_count(steps, signed)

    @staticmethod
    def total_worth(steps: int) -> int:
        return 2 ** steps - 1

    @staticmethod
    def mean(sequence: Tensor) -> Tensor:
        return phase_mean(sequence)

    def tell(self, counts: Tensor) -> Tensor:
        return digits(counts, self.steps, self.lowest < 0)


def phase_form(network: Mapping[str, Any]) -> dict[str, Any]:
    """The ``network_g:`` block that runs the weights of a one-step ``SignedILIF`` student in phase coding.

    Raises:
        UserError: Another neuron, or more steps than one, whose counts would have to be told in their own order.
    """
    return coded_form(network, PhaseIF)
