"""The 8-bit form: what is rounded, whole sums, counts that stay the same, networks that have none."""
from __future__ import annotations

import pytest
import torch

from basicsr_snn import load, zoo
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.errors import UserError
from basicsr_snn.exporting.photographs import photographs_to_round
from basicsr_snn.images.files import read_picture, to_float, to_tensor
from basicsr_snn.images.listing import list_pictures
from basicsr_snn.inference.calling import deployed
from basicsr_snn.installation import shared_files
from basicsr_snn.spiking.blocks import SpikeConv2d, SpikingConv, spiking_convs
from basicsr_snn.spiking.int8 import Int8Conv2d, round_to_bytes, to_int8
from basicsr_snn.spiking.neurons.phase import count_form, phase_form
from basicsr_snn.spiking.ternary import TernaryConv2d

FORMS = {
    'signed counts': {'neuron': {'type': 'SignedILIF', 'D': 16}, 'hidden': {'lowest': 0}},
    'two steps': {'T': 2, 'neuron': {'type': 'SignedILIF', 'D': 4, 'bias': True}},
    'binary': {'T': 4, 'neuron': {'type': 'LIFNode'}},
    'batch norm': {'norm': 'bn'},
    'ternary': {'weights': 'ternary'},
}


def small(**options) -> SpikerIR:
    torch.manual_seed(0)
    return SpikerIR(channels=(4, 8), blocks=(1, 1), **options)


def picture(batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, 18, 22, generator=torch.Generator().manual_seed(0))


def with_rounded_weights(net: SpikerIR) -> SpikerIR:
    """The float network, folded, whose weights were rounded by the rule written out."""
    folded = deployed(net)
    for layer in spiking_convs(folded):
        bias = layer.conv.bias
        if isinstance(layer.conv, TernaryConv2d):  # what a spike is worth is not in its weights
            weight = layer.conv.unpacked_weight() * layer.neuron.amplitude.view(1, -1, 1, 1)
            layer.conv, layer.amplitude_folded = SpikeConv2d(*weight.shape[1::-1], layer.conv.kernel_size,
                                                             layer.conv.stride, layer.conv.padding), True
            layer.conv.bias = bias
        else:
            weight = layer.conv.weight
        unit = weight.abs().amax((1, 2, 3), keepdim=True) / 127
        layer.conv.weight = torch.nn.Parameter((weight / unit).round() * unit)
    return folded


def counts_of(net: SpikerIR, given: torch.Tensor) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    hooks = [layer.conv.register_forward_pre_hook(lambda _, args: found.append(args[0].clone()))
             for layer in spiking_convs(net)]
    with torch.no_grad():
        net(given)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize('options', FORMS.values(), ids=FORMS)
def test_counts_are_those_of_the_float_network_with_the_same_rounded_weights(options):
    net = small(**options)
    ours, theirs = to_int8(deployed(net)).double(), with_rounded_weights(net).double()  # no rounding of sums
    for mine, other in zip(counts_of(ours, picture().double()), counts_of(theirs, picture().double()), strict=True):
        assert torch.equal(mine, mine.round())
        assert mine.abs().max() <= 127
        assert torch.equal(mine, other)


def test_weights_are_bytes_and_the_largest_of_a_channel_is_127():
    codes, scale = round_to_bytes(torch.tensor([[[[0.5, -1.0, 0.251]]], [[[0.0, 0.0, 0.0]]]]))
    assert codes.dtype == torch.int8
    assert codes.flatten().tolist() == [64, -127, 32, 0, 0, 0]
    assert scale[0].item() == pytest.approx(1 / 127)


def test_an_int8_convolution_takes_whole_sums():
    layer = Int8Conv2d(SpikingConv(3, 4, 3, {'type': 'SignedILIF'}).conv)
    counts = torch.randint(-8, 9, (1, 3, 6, 7)).float()
    with torch.no_grad():
        whole = (layer(counts) - layer.bias.view(-1, 1, 1)) / layer.scale.view(-1, 1, 1)
    assert torch.allclose(whole, whole.round(), atol=1e-2)
    assert not hasattr(layer, 'weight')


@pytest.mark.parametrize('name', ['spikerir_tiny_color25', 'spikerir_small_color25'])
def test_shipped_students_lose_less_than_a_hundredth_of_a_decibel(name):
    net = load(name)
    rounded = to_int8(net, photographs_to_round(3))
    lost = []
    for file in list_pictures(shared_files() / 'datasets/demo/val'):
        clean = to_tensor(to_float(read_picture(file).stored))[None]
        noisy = clean + 25 / 255 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            before, after = ((one(noisy) - clean).square().mean() for one in (net, rounded))
        lost.append(10 * torch.log10(after / before).item())
    assert sum(lost) / len(lost) < 0.01


@pytest.mark.parametrize('options', [{'neuron': {'type': 'relu'}}, {'stages': {'head': {'type': 'relu'}}}])
def test_a_layer_that_reads_floats_is_refused(options):
    with pytest.raises(UserError, match='8-bit form was asked of a network with .*; take a spiking network'):
        to_int8(deployed(small(**options)))


def test_a_network_without_spikes_is_refused():
    with pytest.raises(UserError, match='a network without spikes'):
        to_int8(load('ffdnet_color'))


@pytest.mark.parametrize('network', [
    {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'T': 4, 'neuron': {'type': 'PhaseIF', 'steps': 4},
     'hidden': {'bias': True}, 'stages': {'head': {'type': 'PhaseIF', 'steps': 4, 'lowest': -5, 'highest': 9}}},
    phase_form({'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'neuron': {'type': 'SignedILIF', 'D': 16},
                'hidden': {'lowest': 0}}),
    {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'T': 4,  # a part's neuron stands by itself
     'neuron': {'type': 'PhaseIF', 'steps': 4, 'lowest': -10, 'highest': 10, 'bias': True, 'threshold': 0.05},
     'stages': {'head': {'type': 'PhaseIF', 'steps': 4}}},
])
def test_the_count_form_of_a_phase_coded_network_gives_its_pictures(network):
    torch.manual_seed(0)
    phased = zoo.build(network)
    counted = zoo.build(count_form(network))
    counted.load_state_dict(phased.state_dict())
    assert counted.T == 1
    with torch.no_grad():
        assert torch.allclose(deployed(counted)(picture()), deployed(phased)(picture()), atol=1e-5)


def test_counts_that_reach_farther_below_zero_have_no_count_form():
    with pytest.raises(UserError, match='lowest: -10 and highest: 4 reaches farther .* write highest: 10 or more'):
        count_form({'type': 'SpikerIR', 'T': 4, 'neuron': {'type': 'PhaseIF', 'steps': 4, 'lowest': -10, 'highest': 4}})


def test_the_count_form_of_other_networks_is_their_own():
    network = {'type': 'SpikerIR', 'neuron': {'type': 'LIFNode'}, 'T': 4}
    assert count_form(network) == network
