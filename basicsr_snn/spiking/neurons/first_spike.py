"""Time to first spike: a count told by a single spike, whose time says how large it is."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from basicsr_snn.spiking.base import register_neuron
from basicsr_snn.spiking.neurons.coded_counts import CodedCounts, coded_form


def ramp_mean(sequence: Tensor) -> Tensor:
    """What a sequence (T, ...) stands for in this code: its mean with weights T, ..., 2, 1.

    Computed as a membrane does whose currents stay on: each step adds to the current, and the current to the potential.
    """
    current = potential = sequence[0]
    for arriving in sequence[1:]:
        current = current + arriving
        potential = potential + current
    return potential / FirstSpikeIF.total_worth(len(sequence))


@register_neuron('FirstSpikeIF')
class FirstSpikeIF(CodedCounts):
    r"""Integrate-and-fire neuron that spikes at most once: the earlier, the larger the count.

    What a spike sends stays on as a current until the last step, so that a spike of step t counts :math:`T - t` times
    while each synapse adds its weight once. When all T steps have arrived, the neuron has the count that
    :class:`~basicsr_snn.spiking.neurons.signed_ilif.SignedILIF` would emit in one step, and tells it by one spike of
    its sign, as its threshold falls from step to step:

    .. math::
        h = \frac{2}{T (T + 1)} \sum_t (T - t)\, x[t], \qquad
        k = \mathrm{round}(\mathrm{clip}(h / \theta_c, L, D)), \qquad
        s[t] = \mathrm{sign}(k)\ \text{where}\ |k| = T - t,\ \text{else}\ 0

    A network of these answers as the same weights do with ``SignedILIF`` at T = 1, with one spike for each count that
    is not 0. In training mode it runs in that form. The price is latency, D steps a layer, and a second register of
    each membrane for the current.

    From LC-TTFS (arXiv 2310.14978): one spike a value, windows of the layers one after the other, a linear
    postsynaptic potential in the place of a multiplication by the time. Ours: whole counts from the training on, so
    that nothing is lost, spikes of both signs, a learnt threshold for each channel.

    Args:
        channels: Number of channels C.
        steps: Time steps T, the network's, 1..64: the largest count that they tell.
        lowest: Smallest count L. 0: spikes are 0 or 1. Below: -1, 0 or 1.
        highest: Largest count D; None: T.
        threshold: Initial threshold of one unit of the count, > 0, in the unit of the membrane potential.
        bias: A learnable current into each channel, so that counts from 0 on can tell potentials of both signs.

    Raises:
        UserError: A count that the steps cannot tell, a threshold that is not positive; when run, another number of
            steps.

    Shape:
        ``(T, N, C, H, W)`` membrane input to spikes of the same shape; in training mode (1, N, C, H, W) to counts.

    .. code-block:: yaml

        T: 16
        neuron: {type: FirstSpikeIF, steps: 16, lowest: -16}
    """

    most_steps = 64

    @staticmethod
    def largest_count(steps: int, signed: bool) -> int:
        return steps

    @staticmethod
    def total_worth(steps: int) -> int:
        return steps * (steps + 1) // 2

    @staticmethod
    def mean(sequence: Tensor) -> Tensor:
        return ramp_mean(sequence)

    def tell(self, counts: Tensor) -> Tensor:
        return torch.stack([counts.sign() * (counts.abs() == worth) for worth in range(self.steps, 0, -1)])


def ttfs_form(network: Mapping[str, Any]) -> dict[str, Any]:
    """The ``network_g:`` block that runs the weights of a one-step ``SignedILIF`` student by times to first spikes.

    Raises:
        UserError: Another neuron, or more steps than one, whose counts would have to be told in their own order.
    """
    return coded_form(network, FirstSpikeIF)
