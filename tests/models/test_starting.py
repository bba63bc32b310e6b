"""Start weights: thresholds fitted to the streams of a twin, counts unrolled into steps, networks grown."""
from __future__ import annotations

import math

import pytest
import torch

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.errors import UserError
from basicsr_snn.models.starting import (
    begin_as_identity,
    copy_common_channels,
    fit_thresholds,
    start_from_counts,
    start_from_smaller,
    start_from_twin,
)
from basicsr_snn.spiking.blocks import spiking_convs

BINARY = {'type': 'SignedILIF', 'D': 1, 'lowest': 0, 'decay': 1.0}


def test_thresholds_are_fitted_layer_by_layer():
    torch.manual_seed(0)
    net = SpikerIR(channels=[4, 4], blocks=[1, 1])
    crops = torch.rand(2, 3, 16, 16)
    received = {}
    fit_thresholds(net, crops, 0.4, 0.1)
    for name in ('encoder.0.0.body.1.neuron', 'head.neuron'):
        net.get_submodule(name).register_forward_pre_hook(
            lambda layer, inputs, name=name: received.update({name: inputs[0].std((0, 1, 3, 4))}))
    with torch.no_grad():
        net(crops)
    hidden, head = received.values()
    assert torch.allclose(net.encoder[0][0].body[1].neuron.amplitude, 0.4 * hidden, rtol=1e-3)
    assert torch.allclose(net.head.neuron.amplitude, 0.1 * head, rtol=1e-3)


def test_a_bias_current_centres_the_counts_and_the_convolution_takes_it_back():
    torch.manual_seed(0)
    plain = SpikerIR(channels=[4, 4], blocks=[1, 1], neuron={'type': 'linear'}, hidden={'type': 'relu'})
    net = SpikerIR(channels=[4, 4], blocks=[1, 1], T=7, neuron={'type': 'PhaseIF', 'steps': 7, 'bias': True},
                   hidden={'bias': False})
    crops = torch.rand(2, 3, 32, 32)
    start_from_twin(net, plain.state_dict(), crops, 0.08, 0.08)
    assert net.head.neuron.bias.min() > 0
    with torch.no_grad():
        expected, found = plain(crops) - crops, net.eval()(crops) - crops
    inside = (..., slice(8, -8), slice(8, -8))    # at the border padding reads as no spikes, the lowest potential
    assert (found - expected)[inside].std() < 0.05 * expected[inside].std()


def test_a_student_with_fine_counts_begins_as_its_twin():
    torch.manual_seed(0)
    twin = SpikerIR(channels=[4, 4], blocks=[1, 1], neuron={'type': 'linear'}, hidden={'type': 'relu'})
    net = SpikerIR(channels=[4, 4], blocks=[1, 1], neuron={'type': 'SignedILIF', 'D': 500}, hidden={'lowest': 0})
    crops = torch.rand(2, 3, 16, 16)
    start_from_twin(net, twin.state_dict(), crops, 0.01, 0.01)
    with torch.no_grad():
        expected, found = twin(crops) - crops, net.eval()(crops) - crops
    assert (found - expected).std() < 0.02 * expected.std()


def test_a_twin_of_another_shape_is_refused():
    net, twin = SpikerIR(channels=[4, 4], blocks=[1, 1]), SpikerIR(channels=[4, 8], blocks=[1, 1])
    with pytest.raises(UserError, match=r'another network: down\.0\.conv\.weight, .* give weights of a network with'):
        start_from_twin(net, twin.state_dict(), torch.rand(1, 3, 16, 16))


def test_thresholds_of_other_neurons_are_not_fitted():
    net = SpikerIR(channels=[4, 4], blocks=[1, 1], T=2, neuron={'type': 'LIFNode'})
    with pytest.raises(UserError, match='thresholds of LIFNode cannot be fitted .* write neuron: {type: SignedILIF}'):
        fit_thresholds(net, torch.rand(1, 3, 16, 16), 0.4, 0.1)


@pytest.mark.parametrize('neuron', [{'type': 'LIFNode'}, {'type': 'IFNode', 'v_reset': None},
                                    {'type': 'ILIFNode', 'D': 200, 'v_threshold': 0.01}])
def test_a_student_of_fixed_thresholds_begins_near_its_twin(neuron):
    torch.manual_seed(0)
    twin = SpikerIR(channels=[4, 4], blocks=[1, 1], neuron={'type': 'relu'})
    net = SpikerIR(channels=[4, 4], blocks=[1, 1], T=1 if 'D' in neuron else 64, neuron=neuron)
    crops = torch.rand(2, 3, 32, 32)
    start_from_twin(net, twin.state_dict(), crops, 0.02 if 'D' in neuron else 2.0)
    with torch.no_grad():
        expected, found = twin(crops) - crops, net.eval()(crops) - crops
    assert (found - expected).std() < 0.5 * expected.std()
    assert all(layer.stand_in is None for layer in spiking_convs(net))


def test_binary_steps_emit_the_counts():
    options = {'channels': [1, 1], 'blocks': [1, 1]}
    counting = SpikerIR(**options, neuron={'type': 'SignedILIF', 'D': 4, 'lowest': 0, 'threshold': 0.05})
    net = SpikerIR(**options, T=4, neuron=BINARY)
    start_from_counts(net, counting.state_dict())
    assert torch.equal(net.middle[0].body[0].conv.weight, counting.middle[0].body[0].conv.weight)
    binary, counting = net.head.neuron, counting.head.neuron
    assert binary.amplitude.item() == pytest.approx(0.2)
    x = torch.tensor([-0.1, 0.0, 0.049, 0.103, 0.148, 0.3]).view(1, 1, 1, 1, 6)
    spikes = binary(x.expand(4, *x.shape[1:]))
    assert spikes.sum(0).flatten().tolist() == counting(x).flatten().tolist()
    assert math.isclose((spikes.mean(0) * binary.amplitude).sum().item(),
                        (counting(x) * counting.amplitude).sum().item(), rel_tol=1e-5)


@pytest.mark.parametrize('neuron', [{**BINARY, 'decay': 0.5}, {**BINARY, 'D': 2}, {'type': 'LIFNode'}])
def test_counts_become_steps_of_a_binary_neuron_without_leak_only(neuron):
    net = SpikerIR(channels=[4, 4], blocks=[1, 1], T=4, neuron=neuron)
    with pytest.raises(UserError, match='binary neuron without leak, .* write neuron: {type: SignedILIF, D: 1'):
        start_from_counts(net, SpikerIR(channels=[4, 4], blocks=[1, 1]).state_dict())


def test_a_grown_network_begins_as_the_one_that_it_grew_from():
    torch.manual_seed(0)
    trained = SpikerIR(channels=[4, 8], blocks=[1, 1])
    grown, crops = SpikerIR(channels=[4, 8], blocks=[3, 1]), torch.rand(2, 3, 16, 16)
    start_from_smaller(grown, trained.state_dict(), crops)
    assert torch.equal(grown(crops), trained(crops))
    new = begin_as_identity(grown, trained.state_dict())
    assert {name.rpartition('.body')[0] for name, layer in grown.named_modules() if layer in new} == {
        'encoder.0.1', 'encoder.0.2', 'decoder.0.1', 'decoder.0.2'}
    assert all(layer.neuron.amplitude[0].item() != pytest.approx(0.1) for layer in new)    # thresholds are fitted


def test_a_widened_network_begins_as_the_one_that_it_grew_from():
    torch.manual_seed(0)
    trained, crops = SpikerIR(channels=[4, 6], blocks=[1, 1]), torch.rand(2, 3, 16, 16)
    grown = SpikerIR(channels=[8, 10], blocks=[1, 2])
    start_from_smaller(grown, trained.state_dict(), crops)
    assert torch.allclose(grown(crops), trained(crops), atol=1e-6)
    assert grown.encoder[0][0].body[0].conv.weight[4:].abs().min() > 0    # the new channels look at the picture


def test_a_narrowed_network_keeps_the_first_channels():
    trained, narrow = SpikerIR(channels=[4, 8], blocks=[1, 1]), SpikerIR(channels=[4, 6], blocks=[1, 1])
    copy_common_channels(narrow, trained.state_dict())
    assert torch.equal(narrow.middle[0].body[0].conv.weight, trained.middle[0].body[0].conv.weight[:6, :6])
    assert torch.equal(narrow.encoder[0][0].body[0].conv.weight, trained.encoder[0][0].body[0].conv.weight)


def test_weights_of_something_else_do_not_grow():
    with pytest.raises(UserError, match='no name in common with those of this student, but model.0.weight'):
        start_from_smaller(SpikerIR(channels=[4, 4], blocks=[1, 1]), {'model.0.weight': torch.zeros(1)},
                           torch.rand(1, 3, 16, 16))
