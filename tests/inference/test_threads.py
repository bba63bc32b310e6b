"""Threads that share one network: each gets the picture that it would get alone."""
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from threading import Barrier

import pytest
import torch
from spikingjelly.activation_based import functional, neuron
from torch import Tensor, nn

from basicsr_snn.archs.esdnet_arch import ESDNet
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.inference.calling import deployed
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.spiking.neurons import NEURONS

THREADS = 4


class Stepwise(nn.Module):
    """A network that is not ours, called step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), neuron.LIFNode(v_threshold=0.2),
                                    nn.Conv2d(8, 3, 3, padding=1))

    def forward(self, picture: Tensor) -> Tensor:
        functional.reset_net(self)
        return torch.stack([self.layers(picture) for _ in range(4)]).mean(0)


def assert_threads_may_share(net: Restorer) -> None:
    """Run pictures of two shapes, one and the other at the same time, in several threads."""
    torch.manual_seed(0)
    pictures = [torch.rand(1, 3, 16 + 8 * (index % 2), 24) for index in range(THREADS)]
    start = Barrier(THREADS)

    def restore(place: int) -> list[Tensor]:
        start.wait()
        with torch.no_grad():
            return [net(pictures[(place + turn) % THREADS]) for turn in range(4)]

    with torch.no_grad():
        alone = [net(picture) for picture in pictures]
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(restore, range(THREADS)))
    for place, answers in enumerate(together):
        for turn, answer in enumerate(answers):
            assert torch.equal(answer, alone[(place + turn) % THREADS])


@pytest.mark.parametrize('name', NEURONS)
def test_every_neuron(name):
    torch.manual_seed(0)
    assert_threads_may_share(deployed(SpikerIR(channels=[8, 8], blocks=[1, 1], T=4, neuron={'type': name})))


@pytest.mark.parametrize('name', ['SignedILIF', 'LIFNode'])
def test_a_network_that_stops_early(name):
    torch.manual_seed(0)
    net = SpikerIR(channels=[8, 8], blocks=[1, 1], T=6, neuron={'type': name}, exit_tolerance=1e-4)
    assert_threads_may_share(deployed(net))


def test_a_peer():
    torch.manual_seed(0)
    assert_threads_may_share(deployed(ESDNet(dim=16, encoder_blocks=[1, 1], decoder_blocks=[1, 1], T=2)))


def test_a_network_of_other_people():
    torch.manual_seed(0)
    ready = deployed(Stepwise())
    assert_threads_may_share(ready)
    picture = torch.rand(1, 3, 9, 9)
    with torch.no_grad():
        assert torch.equal(deepcopy(ready)(picture), ready(picture))


def test_a_call_keeps_nothing_on_the_layers():
    """So that a forward that ends half-way leaves nothing behind either."""
    net = SpikerIR(channels=[8, 8], blocks=[1, 1], T=3, neuron={'type': 'LIFNode'}).eval()
    layer = net.head.neuron
    with torch.no_grad():
        net(torch.rand(1, 3, 8, 8))
        before = layer.state()
        layer(torch.rand(3, 1, 8, 8, 8))
    assert before == layer.state() == (0.0,)
