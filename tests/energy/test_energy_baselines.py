"""Energy of the counts: presets, memory traffic, ANN twin, quantised twin, break-even rate."""
from __future__ import annotations

import math

import pytest
import torch
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based.op_counter import LemaireEnergyConfig, estimate_lemaire_energy
from torch import nn

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.energy import (
    EnergyPreset,
    EnergyReport,
    OperationCounter,
    break_even_rate,
    integer_mac_pj,
    quantised_bits,
    quantised_nj_px,
    spiking_share,
    twin_macs_per_px,
    twin_nj_px,
)
from basicsr_snn.errors import UserError
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF

LEMAIRE = EnergyPreset(mac_pj=3.2, ac_pj=0.1, word_bytes=4)
"""Lemaire's own arithmetic: 32-bit integers."""


def counted(net: nn.Module, picture: torch.Tensor) -> EnergyReport:
    with torch.no_grad(), OperationCounter(net) as counter:
        net(picture)
    return counter.report()


class Fires(SignedILIF):
    """Emits given counts."""

    def __init__(self, counts: torch.Tensor) -> None:
        super().__init__(1, D=4)
        self.counts = counts

    def forward(self, x):
        return self.counts


class OneSpikingLayer(nn.Module):
    """A float stem 1 to 1 channel, then a spiking 1x1 convolution 1 to ``width`` channels on given counts."""

    def __init__(self, counts: torch.Tensor, width: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 1, 1, bias=False)
        self.neuron = Fires(counts)
        self.conv = nn.Conv2d(1, width, 1, bias=False)

    def forward(self, x):
        spikes = self.neuron(self.stem(x)[None].expand(len(self.neuron.counts), *x.shape))
        return self.conv(spikes.flatten(0, 1))


def one_spiking_layer(*values: list[float]) -> EnergyReport:
    """Counts of one step for each argument, on a picture of as many pixels in a row as each has values."""
    counts = torch.tensor(values)[:, None, None, None, :]
    return counted(OneSpikingLayer(counts), torch.rand(1, 1, 1, counts.shape[-1]) + 0.1)


def test_presets_and_own_numbers_by_hand():
    report = one_spiking_layer([1., -2., 0., 0.])  # 4 MACs of the stem, 3 events to 3 outputs each
    assert (report.macs_per_px, report.acs_per_px) == (1, 9 / 4)
    assert report.energy_nj_px() == pytest.approx((4.6 + 0.9 * 9 / 4) / 1000)
    assert report.energy_nj_px('45nm-int8') == pytest.approx((0.23 + 0.03 * 9 / 4) / 1000)
    assert report.energy_nj_px('neuromorphic-sop') == pytest.approx((4.6 + 0.077 * 9 / 4) / 1000)
    assert report.energy_nj_px(EnergyPreset(2, 1)) == pytest.approx((2 + 9 / 4) / 1000)
    assert report.energy_uj_picture() == pytest.approx((4 * 4.6 + 9 * 0.9) / 1e6)
    assert spiking_share(report) == pytest.approx(9 * 0.9 / (4 * 4.6 + 9 * 0.9))


def test_unknown_preset_and_negative_energy_are_refused():
    report = one_spiking_layer([1.])
    with pytest.raises(UserError, match='no energy preset "45nm-fp23"; did you mean 45nm-fp32'):
        report.energy_nj_px('45nm-fp23')
    with pytest.raises(UserError, match='energies cannot be negative'):
        EnergyPreset(-1, 0.9)


def test_memory_is_not_added_where_the_figures_hold_it():
    report = one_spiking_layer([1., 2.])
    assert report.energy_nj_px(memory=True) > 2 * report.energy_nj_px()
    assert report.energy_nj_px('neuromorphic-sop', memory=True) == report.energy_nj_px('neuromorphic-sop')


@pytest.mark.parametrize('net', [
    nn.Sequential(nn.Linear(300, 50), neuron.IFNode(), nn.Linear(50, 7)),
    nn.Sequential(nn.Linear(300, 50, bias=False), neuron.LIFNode(v_threshold=0.01), nn.Linear(50, 7)),
    nn.Sequential(nn.Linear(300, 9000), nn.Linear(9000, 40)),  # beyond 1 MB of parameters
    nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, stride=2, groups=2)),
], ids=['integrate and fire', 'leaky', 'ANN', 'convolutions'])
def test_memory_model_agrees_with_spikingjelly_where_both_apply(net):
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 12, 12) if isinstance(net[0], nn.Conv2d) else torch.rand(1, 300)
    theirs = estimate_lemaire_energy(net, picture, config=LemaireEnergyConfig(strict=True)).total_pj
    for module in net:
        if isinstance(module, neuron.BaseNode):
            module.reset()
    report = counted(net, picture)
    assert report.energy_nj_px(LEMAIRE, memory=True) * report.pixels * 1000 == pytest.approx(theirs)


@pytest.mark.parametrize('steps', [1, 3])
def test_twin_is_counted_as_the_real_twin(steps):
    torch.manual_seed(0)
    picture = torch.rand(2, 3, 16, 24)
    student = counted(SpikerIR(size='tiny', T=steps).eval().fold(), picture)
    twin = counted(SpikerIR(size='tiny', neuron={'type': 'relu'}).eval(), picture)
    assert steps == student.T
    assert twin_macs_per_px(student) == twin.macs_per_px == twin_macs_per_px(twin)
    for memory in (False, True):
        assert twin_nj_px(student, memory=memory) == pytest.approx(twin.energy_nj_px(memory=memory))


def test_twin_macs_equal_the_closed_form():
    report = counted(SpikerIR(size='tiny', neuron={'type': 'relu'}).eval(), torch.rand(1, 3, 16, 24))
    fine, coarse = 12, 16
    blocks = 4 * (2 * 9 * fine * fine) + 1 * (2 * 9 * coarse * coarse) / 4
    levels = 9 * fine * coarse / 4 + coarse * 4 * fine / 4
    assert report.macs_per_px == 9 * 3 * fine + blocks + levels + 9 * fine * 3


@pytest.mark.parametrize(('counts', 'bits'), [
    ([[1.]], 3),  # T * D = 4: five levels
    ([[1.], [0.]], 4),
    ([[1.], [0.], [2.], [3.]], 5),
])
def test_bits_of_the_quantised_twin(counts, bits):
    report = one_spiking_layer(*counts)
    assert quantised_bits(report) == bits == math.ceil(math.log2(report.T * report.D + 1))


def test_integer_mac_follows_horowitz():
    assert integer_mac_pj(8) == pytest.approx(0.23)
    assert integer_mac_pj(32, 32) == pytest.approx(3.1 + 0.1, rel=0.02)
    assert integer_mac_pj(3) == pytest.approx(0.2 * 3 / 8 + 0.03)


def test_quantised_twin_by_hand():
    report = one_spiking_layer([1., 0.])  # each pixel: one MAC of the stem at 8 bits, three at 3 bits
    assert quantised_nj_px(report) == pytest.approx((0.23 + 3 * (0.2 * 3 / 8 + 0.03)) / 1000)


@pytest.mark.parametrize('steps', [1, 2])
def test_break_even_of_arithmetic_is_the_ratio_of_costs_over_the_steps(steps):
    report = one_spiking_layer(*[[1., 0., 2., 0.]] * steps)
    assert report.firing_rate == 0.75
    assert break_even_rate(report) == pytest.approx(4.6 / 0.9 / steps)
    assert break_even_rate(report, EnergyPreset(3, 1)) == pytest.approx(3 / steps)
    assert break_even_rate(report, '45nm-int8', mac_pj=integer_mac_pj(3)) == pytest.approx(0.105 / 0.03 / steps)


@pytest.mark.parametrize('memory', [False, True])
def test_network_at_its_break_even_rate_costs_as_much_as_its_twin(memory):
    preset = EnergyPreset(30, 1)  # so that the rate can be reached with counts up to D
    sparse = one_spiking_layer([1., 0., 0., 0.])
    rate = break_even_rate(sparse, preset, memory)
    costs = [one_spiking_layer([count] * 4).energy_nj_px(preset, memory) for count in (1., 2.)]
    at_break_even = costs[0] + (rate - 1) * (costs[1] - costs[0])
    expected = twin_nj_px(sparse, preset, memory)
    if memory:  # neither the stem's result nor what it reads differs but for the write that the twin has to do
        stem = sparse.layers[0]
        expected += (stem.events_overhead.pj(preset) - stem.twin_overhead.pj(preset)) / sparse.pixels / 1000
    assert at_break_even == pytest.approx(expected)


def test_break_even_of_an_ann_is_not_a_number():
    report = counted(nn.Conv2d(1, 1, 1), torch.rand(1, 1, 4, 4))
    assert math.isnan(break_even_rate(report))
    assert quantised_bits(report) == 0
    assert spiking_share(report) == 0
