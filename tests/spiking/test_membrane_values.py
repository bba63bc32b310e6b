"""Spikes as membrane values: the same function and gradients as counts with scaled weights."""
from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from captured_step import send_values

from basicsr_snn import zoo
from basicsr_snn.spiking.events import SpikeTaps
from basicsr_snn.spiking.membrane_values import MembraneValues
from basicsr_snn.spiking.neurons.signed_ilif import SignedCounts

SMALL = {'type': 'SpikerIR', 'channels': [8, 8], 'blocks': [1, 1]}
STUDENTS = {
    'signed': {**SMALL, 'neuron': {'type': 'SignedILIF', 'D': 3}},
    'hidden unsigned': {**SMALL, 'neuron': {'type': 'SignedILIF', 'D': 4}, 'hidden': {'lowest': 0}},
    'with bias': {**SMALL, 'neuron': {'type': 'SignedILIF', 'D': 4, 'lowest': 0, 'bias': True}},
    'phase-coded': {**SMALL, 'T': 3, 'neuron': {'type': 'PhaseIF', 'steps': 3, 'bias': True}},
    'ternary': {**SMALL, 'weights': 'ternary'},
}


def test_values_are_counts_times_threshold_by_hand():
    x = torch.tensor([0.0, 0.14, 0.16, 9.0, -9.0]).view(1, 1, 1, 1, 5).requires_grad_()
    threshold = torch.tensor([0.1], requires_grad=True)
    values, events = MembraneValues.apply(x, threshold, torch.tensor([-2.0, 4.0]), False)
    assert values.flatten().tolist() == pytest.approx([0.0, 0.1, 0.2, 0.4, -0.2])
    assert events.item() == 0 + 1 + 2 + 4 + 2
    values.sum().backward()
    assert x.grad.flatten().tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    # d(k theta)/d(theta) is k - u inside the range, and k outside
    assert threshold.grad.item() == pytest.approx((1 - 1.4) + (2 - 1.6) + 4 - 2, abs=1e-5)


def test_gradients_are_those_of_counts_with_scaled_weights():
    torch.manual_seed(0)
    x, weight = torch.randn(1, 2, 3, 4, 5), torch.randn(1, 1, 3, 1, 1)
    results = []
    for values in (True, False):
        leaf, threshold = x.clone().requires_grad_(), torch.tensor([0.1, 0.2, 0.4], requires_grad=True)
        if values:
            sent, events = MembraneValues.apply(leaf, threshold, torch.tensor([-3.0, 3.0]), False)
        else:
            counts = SignedCounts.apply(leaf, threshold, -3, 3, 0.25)
            sent, events = counts * threshold.view(-1, 1, 1), counts.abs().sum()
        (sent * weight).square().sum().add(0.01 * events).backward()
        results.append((sent, events, leaf.grad, threshold.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('network', STUDENTS.values(), ids=STUDENTS)
def test_a_student_trains_alike_in_both_forms(network):
    torch.manual_seed(0)
    plain = zoo.build(network).to(memory_format=torch.channels_last).train()
    sent = deepcopy(plain)
    convs = send_values(sent, fused=False)
    picture = torch.rand(2, 3, 16, 16)
    with SpikeTaps(plain) as taps:
        expected = plain(picture)
    answer = sent(picture)
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-5)
    assert [conv.events.item() for conv, _ in convs] == [spikes.abs().sum().item() for spikes in taps.spikes]
    assert [fan_out for _, fan_out in convs] == taps.fan_outs
    expected.square().sum().backward()
    answer.square().sum().backward()
    for one, other in zip(sent.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-3)
    assert torch.equal(sent.eval()(picture), plain.eval()(picture))
