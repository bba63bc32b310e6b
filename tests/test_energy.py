"""Counted operations: toy networks counted by hand, events at real borders, the report's arithmetic."""
from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.energy import EnergyReport, OperationCounter, spike_operations


def counted(net: nn.Module, picture: torch.Tensor) -> EnergyReport:
    with OperationCounter(net) as counter:
        net(picture)
    return counter.report()


def brute_force_operations(conv: nn.Conv2d, spikes: torch.Tensor) -> float:
    """Unit events times reached outputs, by pushing each event through the convolution alone."""
    ones = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation,
                     conv.groups, bias=False)
    nn.init.ones_(ones.weight)
    total = 0.0
    with torch.no_grad():
        for index in spikes.nonzero():
            event = torch.zeros_like(spikes)
            event[tuple(index)] = spikes[tuple(index)].abs()
            total += ones(event).sum().item()
    return total


def test_toy_network_counted_by_hand():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 3, 1, stride=2))
    report = counted(net, torch.rand(2, 1, 4, 6) + 0.1)
    # 2*4*6 pixels; first layer 2 outputs * 9 weights at each; second 3 outputs * 2 weights at a quarter of them
    assert [layer.macs for layer in report.layers] == [48 * 2 * 9, 12 * 3 * 2]
    assert report.acs_per_px == 0
    assert report.macs_per_px == 18 + 1.5
    assert report.energy_nj_px() == pytest.approx(19.5 * 4.6e-3)
    assert report.params == 2 * 9 + 2 + 3 * 2 + 3
    assert (report.pictures, report.pixels, report.firing_rate) == (2, 48, 0.0)


def test_one_event_in_corner_border_and_middle():
    conv = nn.Conv2d(1, 5, 3, padding=1)
    for place, reached in (((0, 0), 4), ((0, 2), 6), ((2, 2), 9)):
        spikes = torch.zeros(1, 1, 5, 5)
        spikes[0, 0][place] = -2
        assert spike_operations(conv, spikes) == 2 * reached * 5


@settings(max_examples=15, deadline=None)
@given(stride=st.integers(1, 2), kernel=st.sampled_from([1, 3]), groups=st.sampled_from([1, 2, 4]),
       seed=st.integers(0, 99))
def test_spike_operations_equal_pushing_every_event_alone(stride, kernel, groups, seed):
    generator = torch.Generator().manual_seed(seed)
    spikes = torch.randint(-2, 3, (1, 4, 5, 4), generator=generator).float()
    conv = nn.Conv2d(4, 8, kernel, stride, kernel // 2, groups=groups)
    assert spike_operations(conv, spikes) == brute_force_operations(conv, spikes)


def test_linear_layer_on_spikes():
    assert spike_operations(nn.Linear(4, 7), torch.tensor([[1., 0., -3., 0.]])) == 4 * 7


def test_spike_driven_student_has_macs_in_the_stem_only():
    torch.manual_seed(0)
    report = counted(SpikerIR(size='tiny', T=2).eval().fuse(), torch.rand(1, 3, 16, 16))
    assert [layer.name for layer in report.layers if layer.macs] == ['stem']
    assert report.macs_per_px == 8 * 3 * 9
    assert report.acs_per_px > 0
    assert 0 < report.firing_rate < 4


def test_twin_macs_equal_the_closed_form():
    report = counted(SpikerIR(size='tiny', neuron={'type': 'relu'}).eval(), torch.rand(1, 3, 16, 24))
    fine, coarse = 8, 16
    blocks = 2 * (2 * 9 * fine * fine) + 3 * (2 * 9 * coarse * coarse) / 4
    levels = 9 * fine * coarse / 4 + coarse * 4 * fine / 4
    assert report.macs_per_px == 9 * 3 * fine + blocks + levels + 9 * fine * 3


def test_twice_the_picture_is_twice_the_operations():
    torch.manual_seed(0)
    net = SpikerIR(size='tiny').eval()
    row = torch.rand(1, 3, 32, 32)
    once, twice = counted(net, row), counted(net, torch.cat([row, row]))
    assert twice.acs_per_px == pytest.approx(once.acs_per_px)
    assert twice.firing_rate == pytest.approx(once.firing_rate)


def test_counting_leaves_outputs_gradients_and_the_network_untouched():
    torch.manual_seed(0)
    net = SpikerIR(size='tiny')
    picture = torch.rand(1, 3, 16, 16)
    plain = net(picture)
    plain.sum().backward()
    gradient = net.stem.weight.grad.clone()
    net.zero_grad()
    with OperationCounter(net):
        watched = net(picture)
        watched.sum().backward()
    assert torch.equal(watched, plain)
    assert torch.equal(net.stem.weight.grad, gradient)
    assert all(not module._forward_hooks for module in net.modules())


def test_report_survives_json_and_refuses_to_guess():
    net = SpikerIR(size='tiny').eval()
    report = counted(net, torch.rand(1, 3, 8, 8))
    assert EnergyReport.from_json(report.to_json()) == report
    with pytest.raises(ValueError, match='run the network inside'):
        OperationCounter(net).report()
