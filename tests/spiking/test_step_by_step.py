"""The runner of single steps: spikes by hand, the same function as whole counts, its steps and the command."""
from __future__ import annotations

import copy

import pytest
import step_by_step as command
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from basicsr_snn import load
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.energy import OperationCounter
from basicsr_snn.errors import UserError
from basicsr_snn.spiking.blocks import SpikingConv, spiking_convs
from basicsr_snn.spiking.neurons.phase import digits, phase_form
from basicsr_snn.spiking.step_by_step import StepByStepConv, Steps, run_step_by_step
from basicsr_snn.zoo import build

STUDENT = {'type': 'SpikerIR', 'channels': [6, 8], 'blocks': [2, 1], 'neuron': {'type': 'SignedILIF', 'D': 16},
           'hidden': {'lowest': 0}, 'stages': {'head': {'type': 'SignedILIF', 'D': 32, 'threshold': 0.03}}}


def student(**changes) -> nn.Module:
    torch.manual_seed(0)
    net = build({**STUDENT, **changes})
    with torch.no_grad():
        for layer in spiking_convs(net):
            layer.neuron.log_threshold.add_(torch.randn_like(layer.neuron.log_threshold) * 0.3)
    return net.eval().fold().double()


def sent(layer: StepByStepConv, potential: float) -> list[float]:
    """The spikes of a potential in thresholds, first step first."""
    rest, spikes = torch.tensor(potential, dtype=torch.float64), []
    for place in reversed(range(layer.length)):
        spike, worth = layer.spikes_at(place, rest)
        rest = rest - worth * spike
        spikes.append(spike.item())
    return spikes


def layer_of(lowest: int, code: str = 'phase', largest: int = 10, length: int = 4) -> StepByStepConv:
    conv = SpikingConv(1, 1, 1, {'type': 'SignedILIF', 'D': largest, 'lowest': lowest})
    conv.fold()
    return StepByStepConv(conv, code, length, Steps())


def test_spikes_by_hand():
    assert sent(layer_of(-10), 7.2) == [1, 0, 0, -1]
    assert sent(layer_of(-10), -3.4) == [0, -1, 0, 1]
    assert sent(layer_of(0), 7.4) == [0, 1, 1, 1]
    assert sent(layer_of(-3, 'units', largest=3), -2.2) == [-1, -1, 0]
    assert sent(layer_of(-4, 'ttfs', largest=4), -2.6) == [0, -1, 0, 0]
    assert sent(layer_of(0, 'ttfs', largest=4), 0.6) == [0, 0, 0, 1]
    assert sent(layer_of(0, 'ttfs', largest=4), 0.4) == [0, 0, 0, 0]


@given(st.floats(-10, 10, allow_subnormal=False), st.booleans())
def test_thresholds_by_digit_tell_the_rounded_count_in_its_fewest_digits(potential, signed):
    potential = potential if signed else abs(potential)
    if abs(potential % 1 - 0.5) > 1e-9:  # halves may be told either way
        told = digits(torch.tensor([round(potential)], dtype=torch.float64), 4, signed)[:, 0].tolist()
        assert sent(layer_of(-10 if signed else 0), potential) == told


@pytest.mark.parametrize('changes', [{}, {'hidden': {}}, {'neuron': {'type': 'SignedILIF', 'D': 15, 'lowest': 0,
                                                                    'bias': True}, 'stages': {}}])
@pytest.mark.parametrize('code', ['phase', 'units', 'ttfs'])
def test_a_network_is_the_same_function_step_by_step(changes, code):
    net, picture = student(**changes), torch.rand(2, 3, 21, 18).double()
    spikes = []
    stepped = copy.deepcopy(net)
    steps = run_step_by_step(stepped, code)
    assert not any(isinstance(module, SpikingConv) for module in stepped.modules())
    convolve = torch.nn.functional.conv2d

    def watched(read, *rest):
        spikes.append(read)
        return convolve(read, *rest)

    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr('basicsr_snn.spiking.step_by_step.F.conv2d', watched)
        answer = stepped(picture)
        patch.undo()
        expected = net(picture)
    assert (expected - picture).abs().max() > 1e-3
    assert (answer - expected).abs().max() < 1e-9
    read = [one for one in spikes if one.shape[1] != 3]  # the stem reads the picture
    assert len(read) == steps.latency > 0
    assert all(set(one.unique().tolist()) <= {-1.0, 0.0, 1.0} for one in read)
    assert steps.spikes == sum(one.abs().sum() for one in read)


def test_latency_and_spikes_are_those_of_the_phase_coded_network():
    net, picture = student(), torch.rand(1, 3, 16, 16).double()
    steps = run_step_by_step(net)
    with torch.no_grad():
        net(picture)
        phased = build(phase_form(STUDENT))
        assert steps.latency == phased.T * len(spiking_convs(phased))
    units = student()
    with torch.no_grad():
        steps = run_step_by_step(units, 'units')
        units(picture)
    assert steps.latency == 16 * (len(spiking_convs(phased)) - 1) + 32
    counted, timed = student(), student()
    with torch.no_grad(), OperationCounter(counted) as counter:
        counted(picture)
        steps = run_step_by_step(timed, 'ttfs')
        timed(picture)
    assert steps.latency == 16 * (len(spiking_convs(phased)) - 1) + 32
    assert steps.spikes == sum(neuron.active for neuron in counter.report().neurons)  # one for each count but 0


@pytest.mark.parametrize('network', [SpikerIR(channels=[4, 4], blocks=[1, 1], weights='ternary').eval().fold(),
                                     SpikerIR(channels=[4, 4], blocks=[1, 1], T=2, neuron={'type': 'LIFNode'}).fold(),
                                     SpikerIR(channels=[4, 4], blocks=[1, 1], neuron={'type': 'relu'}).fold(),
                                     SpikerIR(channels=[4, 4], blocks=[1, 1], T=2).fold(),
                                     SpikerIR(channels=[4, 4], blocks=[1, 1])])
def test_other_networks_are_refused(network):
    def run() -> None:
        run_step_by_step(network.eval())
        network(torch.rand(1, 3, 8, 8))

    with pytest.raises(UserError, match='SignedILIF at T: 1 with float weights'):
        run()


def test_the_command_compares_counts_and_values():
    net = command.student_of_counts('spikerir_tiny_color25').double()
    pictures = [torch.rand(1, 3, 24, 24).double() * 0.3 + torch.linspace(0, 0.6, 24).double()]
    found = command.compare(net, pictures, 'phase')
    assert (found.counts_apart, found.by_one, found.by_more) == (0, 0, 0)
    assert (found.pixels, found.values) == (576, 1728)
    assert found.steps == 6 * len(spiking_convs(load('spikerir_tiny_color25')))
    assert 0 < found.spikes < found.neurons * 6
    assert found.line('x').startswith(f'| x | {found.steps} | ')


def test_binary_students_have_four_digits():
    net = command.student_of_counts('spikerir_small_color25_binary').double()
    found = command.compare(net, [torch.rand(1, 3, 16, 16).double()], 'phase')
    assert found.steps == 4 * len(spiking_convs(net))
    assert found.counts_apart == 0
