"""Membrane potentials before the spike, worked out again from what went into a neuron layer."""
from __future__ import annotations

from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from basicsr_snn.spiking.dsr import DSRIFNode
from basicsr_snn.spiking.signed_ilif import SignedILIF

UNREACHABLE = 1e30
"""A threshold that nothing reaches: a neuron that has it keeps the potential that it would have fired from."""


def potentials_before_spike(neuron: nn.Module, x: Tensor, spikes: Tensor, states: tuple[Any, ...]) -> Tensor | None:
    """Membrane potential of each step before it spikes, in units of the threshold.

    Neurons do not know their neighbours, so that some of them can be run alone. At T = 1 from rest this is the input
    over the threshold (with ``decay_input`` over ``tau``, too). Later steps follow from the neuron's own equations.

    Args:
        neuron: The layer; its state is not touched.
        x: Membrane input (T, P, C) of P neurons of each channel.
        spikes: What they emitted, of the same shape.
        states: Its state before the call, of the same neurons: (P, C) tensors, or numbers at rest.

    Returns:
        (T, P, C), or None for a neuron whose equations cannot be run step by step.
    """
    if isinstance(neuron, SignedILIF):
        x = x if neuron.bias is None else x + neuron.bias.detach()
        return _of_soft_reset(neuron, x, spikes, states[0], neuron.decay)
    if isinstance(neuron, DSRIFNode):
        return _of_soft_reset(neuron, x, spikes, None, 1.0)
    if hasattr(neuron, 'single_step_functional_forward') and isinstance(getattr(neuron, 'v_threshold', None), float):
        return _of_spikingjelly(neuron, x, states)
    return None


def _of_soft_reset(neuron: SignedILIF | DSRIFNode, x: Tensor, spikes: Tensor, v: Tensor | None,
                   decay: float) -> Tensor:
    threshold = neuron.amplitude.detach()
    potentials = []
    v = 0.0 if v is None else v
    for current, count in zip(x, spikes, strict=True):
        h = decay * v + current
        potentials.append(h / threshold)
        v = h - threshold * count
    return torch.stack(potentials)


def _of_spikingjelly(neuron: nn.Module, x: Tensor, states: tuple[Any, ...]) -> Tensor:
    silent = copy(neuron)
    silent.v_threshold = UNREACHABLE
    states = neuron.materialize_states((x[0],), states, 's')
    potentials = []
    for current in x:
        potentials.append(silent.single_step_functional_forward((current,), states)[1][0] / neuron.v_threshold)
        states = neuron.single_step_functional_forward((current,), states)[1]
    return torch.stack(potentials)
