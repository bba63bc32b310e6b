"""The receptive field that an architecture declares, against what really depends on what and against a count."""
from __future__ import annotations

import pytest
import torch
from torch import nn

from basicsr_snn import load
from basicsr_snn.archs.dncnn_arch import DnCNN
from basicsr_snn.archs.ffdnet_arch import FFDNet
from basicsr_snn.archs.spikerir_arch import SIZES, SpikerIR
from basicsr_snn.inference.contract import Restorer, as_restorer
from basicsr_snn.inference.self_ensemble import SelfEnsemble
from basicsr_snn.inference.tiling import TILE_PAD

RELU = {'type': 'relu'}


def farthest_dependence(net: nn.Module, centre: int, period: int) -> int:
    """Largest distance of an input pixel from an output pixel that depends on it.

    Positive weights let nothing cancel and keep every ReLU open, so that the gradient shows every path.
    """
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.rand_like(parameter) * 0.1 + 0.01)
    distances = []
    for shift in range(period):
        picture = torch.ones(1, 3, 8, 2 * centre, requires_grad=True)
        net(picture)[0, 0, 4, centre + shift].backward()
        columns = picture.grad.abs().sum((0, 1, 2)).nonzero()
        distances.append((columns - centre - shift).abs().max().item())
    return max(distances)


def counted(net: Restorer) -> int:
    """Sum over all convolutions: one of k x k at 1/s of the picture's size looks (k - 1) / 2 * s pixels farther."""
    side, seen = 8 * net.multiple_of, []

    def count(convolution, inputs):
        seen.append(side // inputs[0].shape[-1] * (convolution.kernel_size[0] // 2))

    hooks = [module.register_forward_pre_hook(count) for module in net.modules() if isinstance(module, nn.Conv2d)]
    with torch.inference_mode():
        net(torch.zeros(1, net.in_ch, side, side))
    for hook in hooks:
        hook.remove()
    return sum(seen) + net.multiple_of - 1


NETWORKS = [
    SpikerIR(channels=(2, 3), blocks=(1, 1), neuron=RELU),
    SpikerIR(channels=(2, 3, 2), blocks=(1, 2, 1), neuron=RELU, norm='bn'),
    FFDNet(nc=3, nb=4),
    DnCNN(nc=3, nb=5),
]


@pytest.mark.parametrize('net', NETWORKS, ids=lambda net: type(net).__name__)
def test_declared_field_covers_every_dependence_and_little_more(net):
    net.eval()
    true = farthest_dependence(net, centre=64, period=net.multiple_of)
    assert true <= net.receptive_field <= true + net.multiple_of


@pytest.mark.parametrize('net', [*NETWORKS, *(SpikerIR(size=size) for size in SIZES)],
                         ids=lambda net: type(net).__name__)
def test_declared_field_is_what_the_convolutions_add_up_to(net):
    assert net.eval().receptive_field == counted(net)


@pytest.mark.parametrize(('name', 'field'), [('spikerir_small_color25', 36), ('ffdnet_color', 25),
                                             ('dncnn_color_blind', 20)])
def test_fields_of_shipped_networks(name, field):
    net = load(name)
    assert net.receptive_field == field
    assert SelfEnsemble(net, 8).receptive_field == field


def test_default_overlap_covers_the_largest_size():
    assert SpikerIR(size='base', T=1).receptive_field <= TILE_PAD


@pytest.mark.parametrize('neuron', ['SignedILIF', 'LIFNode', 'ILIFNode'])
def test_neurons_look_at_no_neighbours(neuron):
    net = SpikerIR(channels=(2, 3), blocks=(1, 1), T=2, neuron={'type': neuron}).eval()
    assert net.receptive_field == counted(net)


def test_the_field_of_a_network_that_does_not_tell_is_unknown():
    assert as_restorer(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1))).receptive_field is None


def test_a_declared_field_counts_behind_a_wrapper():
    net = DnCNN(nc=3, nb=3)
    net.receptive_field = 11
    assert as_restorer(nn.DataParallel(net)).receptive_field == 11
