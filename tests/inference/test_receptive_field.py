"""The counted reach against what really depends on what."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from basicsr_snn import zoo
from basicsr_snn.archs.dncnn_arch import DnCNN
from basicsr_snn.archs.ffdnet_arch import FFDNet
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.inference.receptive_field import reach_of
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


@pytest.mark.parametrize('net', [
    SpikerIR(channels=(2, 3), blocks=(1, 1), neuron=RELU),
    SpikerIR(channels=(2, 3, 2), blocks=(1, 2, 1), neuron=RELU, norm='bn'),
    FFDNet(nc=3, nb=4),
    DnCNN(nc=3, nb=5),
], ids=lambda net: type(net).__name__)
def test_counted_reach_covers_every_dependence_and_little_more(net):
    net.eval()
    multiple = getattr(net, 'multiple_of', 1)
    true = farthest_dependence(net, centre=64, period=multiple)
    assert true <= reach_of(net, 3) <= true + multiple


@pytest.mark.parametrize(('name', 'reach'), [('spikerir_small_color25', 36), ('ffdnet_color', 25),
                                             ('dncnn_color_blind', 20)])
def test_reach_of_shipped_networks(name, reach):
    assert reach_of(zoo.load(name), 3) == reach


def test_default_overlap_covers_the_largest_size():
    assert reach_of(SpikerIR(size='base', T=1).eval(), 3) <= TILE_PAD


@pytest.mark.parametrize('neuron', ['SignedILIF', 'LIFNode', 'ILIFNode'])
def test_neurons_look_at_no_neighbours(neuron):
    options = {'channels': (2, 3), 'blocks': (1, 1), 'T': 2}
    assert reach_of(SpikerIR(**options, neuron={'type': neuron}).eval(), 3) == reach_of(
        SpikerIR(**options, neuron=RELU).eval(), 3)


class Mean(nn.Module):
    """Looks everywhere, by no convolution."""

    def forward(self, picture: Tensor) -> Tensor:
        return picture + picture.mean()


def test_unknown_modules_have_no_counted_reach():
    assert reach_of(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), Mean()), 3) is None
    assert reach_of(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.AdaptiveAvgPool2d(1)), 3) is None


def test_declared_reach_counts():
    net = Mean()
    net.reach = 11
    assert reach_of(net, 3) == 11


def test_counting_leaves_no_hook():
    net = DnCNN(nc=3, nb=3).eval()
    reach_of(net, 3)
    assert not any(module._forward_pre_hooks for module in net.modules())
