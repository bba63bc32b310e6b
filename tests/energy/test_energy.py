"""Counted operations: toy networks counted by hand, events at real borders, nothing touched, nothing left unsaid."""
from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import neuron
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import _get_current_dispatch_mode

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.energy import EnergyReport, LayerCount, OperationCounter
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF


def counted(net: nn.Module, *pictures: torch.Tensor) -> EnergyReport:
    with OperationCounter(net) as counter:
        for picture in pictures:
            net(picture)
    return counter.report()


def only_layer(net: nn.Module, picture: torch.Tensor) -> LayerCount:
    (layer,) = counted(net, picture).layers
    return layer


def brute_force_operations(layer: nn.Module, spikes: torch.Tensor) -> float:
    """Unit events times reached outputs, by pushing each event through the layer alone, all its weights 1."""
    kept = {name: value.clone() for name, value in layer.state_dict().items()}
    total = 0.0
    with torch.no_grad():
        layer.weight.fill_(1)
        layer.bias.zero_()
        for index in spikes.nonzero():
            event = torch.zeros_like(spikes)
            event[tuple(index)] = spikes[tuple(index)].abs()
            total += layer(event).sum().item()
    layer.load_state_dict(kept)
    return total


class Calls(nn.Module):
    """Runs a function as a network."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def test_toy_network_counted_by_hand():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 3, 1, stride=2))
    report = counted(net, torch.rand(2, 1, 4, 6) + 0.1)
    # 2*4*6 pixels; first layer 2 outputs * 9 weights at each; second 3 outputs * 2 weights at a quarter of them
    assert [layer.macs for layer in report.layers] == [48 * 2 * 9, 12 * 3 * 2]
    assert report.acs_per_px == 0
    assert report.macs_per_px == 18 + 1.5
    assert report.energy_nj_px() == pytest.approx(19.5 * 4.6e-3)
    assert report.params == 2 * 9 + 2 + 3 * 2 + 3
    assert report.footprint_bytes == 4 * report.params
    assert (report.pictures, report.pixels, report.firing_rate) == (2, 48, 0.0)
    assert not report.spiking
    assert report.float_layers == ('0', '2')


@pytest.mark.parametrize(('layer', 'shape', 'macs'), [
    (nn.Linear(4, 7), (1, 1, 5, 4), 5 * 4 * 7),
    (nn.Conv2d(4, 6, 1), (1, 4, 3, 5), 15 * 4 * 6),
    (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (1, 4, 5, 7), 3 * 4 * 6 * 2 * 9),
    (nn.Conv2d(2, 3, (1, 5), padding=(0, 2), dilation=(1, 1)), (1, 2, 4, 6), 24 * 3 * 2 * 5),
    (nn.Conv2d(1, 1, 3, dilation=2), (1, 1, 7, 8), 3 * 4 * 9),
    (nn.ConvTranspose2d(4, 6, 2, stride=2), (1, 4, 3, 5), 15 * 4 * 6 * 4),
    (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (1, 4, 3, 5), 15 * 4 * 3 * 9),
])
def test_dense_layers_by_hand(layer, shape, macs):
    assert only_layer(layer, torch.rand(shape) + 0.1).macs == macs


def test_one_event_in_corner_border_and_middle():
    conv = nn.Conv2d(1, 5, 3, padding=1)
    for place, reached in (((0, 0), 4), ((0, 2), 6), ((2, 2), 9)):
        spikes = torch.zeros(1, 1, 5, 5)
        spikes[0, 0][place] = -2
        layer = only_layer(conv, spikes)
        assert (layer.acs, layer.events, layer.macs) == (2 * reached * 5, 2, 0)


@settings(max_examples=25, deadline=None)
@given(stride=st.integers(1, 3), kernel=st.sampled_from([(1, 1), (3, 3), (2, 3)]), groups=st.sampled_from([1, 2, 4]),
       padding=st.integers(0, 2), dilation=st.integers(1, 2), transposed=st.booleans(), seed=st.integers(0, 99))
def test_spike_operations_equal_pushing_every_event_alone(stride, kernel, groups, padding, dilation, transposed, seed):
    generator = torch.Generator().manual_seed(seed)
    spikes = torch.randint(-2, 3, (1, 4, 6, 5), generator=generator).float()
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    conv = kind(4, 8, kernel, stride, min(padding, *kernel), groups=groups, dilation=dilation)
    layer = only_layer(conv, spikes)
    assert layer.reads_spikes
    assert layer.acs == brute_force_operations(conv, spikes)


@settings(max_examples=20, deadline=None)
@given(stride=st.integers(1, 2), groups=st.sampled_from([1, 2]), transposed=st.booleans(), whole=st.booleans(),
       seed=st.integers(0, 99))
def test_zero_weights_are_left_out_of_effective_operations(stride, groups, transposed, whole, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-2, 3, (1, 4, 6, 5), generator=generator).float() * (1 if whole else 0.3)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    conv = kind(4, 8, 3, stride, 1, groups=groups, bias=False)
    with torch.no_grad():
        conv.weight.mul_(torch.rand(conv.weight.shape, generator=generator) < 0.4)
        driving = values.abs() if whole else (values != 0).float()
        got = only_layer(conv, values)
        conv.weight.copy_(conv.weight != 0)
        expected = float(conv(driving).sum())
        conv.weight.fill_(1)
        dense = float(conv(driving).sum())
    if whole:
        assert (got.acs, got.effective_acs, got.effective_macs) == (dense, expected, 0)
    else:
        assert (got.acs, got.effective_acs, got.effective_macs) == (0, 0, expected)


@pytest.mark.parametrize('scale', [1, 0.3])
def test_zero_weights_of_a_matrix_are_left_out_of_effective_operations(scale):
    linear = nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1., 0, 2, 0], [0, 0, 1, 0], [3, 0, 0, 0]]))
    got = only_layer(linear, torch.tensor([[2., 1, -1, 0]])[None, None] * scale)
    assert (got.effective_acs, got.effective_macs) == ((6, 0) if scale == 1 else (0, 4))


def test_sparse_energy_counts_effective_operations():
    net = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False))
    with torch.no_grad():
        net[0].weight[0] = 0
    report = counted(net, torch.ones(1, 1, 4, 4))
    assert (report.acs_per_px, report.effective_acs_per_px) == (2, 1)
    assert report.sparse_energy_nj_px() == pytest.approx(0.9 / 1000)
    assert report.energy_nj_px() == pytest.approx(2 * 0.9 / 1000)


def test_linear_layer_on_spikes():
    linear = nn.Linear(4, 7)
    spikes = torch.tensor([[1., 0., -3., 0.]])[None, None]
    assert only_layer(linear, spikes).acs == 4 * 7 == brute_force_operations(linear, spikes)


def test_count_of_k_is_k_unit_events():
    torch.manual_seed(0)
    conv, counts = nn.Conv2d(3, 5, 3, padding=1, bias=False), torch.randint(0, 5, (1, 3, 6, 6)).float()
    slots = torch.cat([(counts > level).float() for level in range(4)])
    assert only_layer(conv, counts).acs == only_layer(conv, slots).acs
    assert torch.allclose(conv(counts), conv(slots).sum(0, keepdim=True), atol=1e-5)


@pytest.mark.parametrize('kind', ['float', 'relu', 'binary', 'ternary'])
@pytest.mark.parametrize('layer', [
    nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2),
    nn.Conv2d(4, 6, 3, dilation=2, padding=2), nn.Conv2d(4, 5, 1), nn.Linear(7, 3),
], ids=lambda layer: layer.extra_repr())
def test_agrees_with_neurobench(layer, kind):
    """NeuroBench 2.3: weights and inputs that are not zero become 1, bias 0, and the layer's outputs are added up; ACs
    if the input holds -1, 0 and 1 only, else MACs; ``Dense`` with all of them 1."""
    torch.manual_seed(0)
    values = torch.randn(2, 4, 9, 7)
    values = {'float': values, 'relu': values.relu(), 'binary': (values > 1).float(),
              'ternary': values.clamp(-1, 1).round()}[kind]
    run = F.linear if isinstance(layer, nn.Linear) else layer._conv_forward
    ones = torch.ones_like(layer.weight)
    effective, dense = (float(run(x, ones, None).sum()) for x in ((values != 0).float(), torch.ones_like(values)))
    got = only_layer(layer, values)
    if kind in ('binary', 'ternary'):
        assert (got.acs, got.macs, got.effective_macs) == (effective, 0, 0)
    else:
        assert (got.acs, got.effective_macs) == (0, effective)
    unpadded = nn.Linear(7, 3) if isinstance(layer, nn.Linear) else nn.Conv2d(4, 8, 3)
    inside = only_layer(unpadded, torch.rand(2, 4, 9, 7) + 0.1)
    assert inside.macs == inside.effective_macs  # Dense and ours differ by the products with padding only
    assert dense <= got.twin_macs


def test_functional_calls_count_as_modules():
    weight = nn.Parameter(torch.rand(5, 3, 3, 3))
    report = counted(Calls(lambda net, x: F.conv2d(x, net.weight), weight=weight), torch.rand(1, 3, 8, 8))
    assert [(layer.name, layer.op, layer.macs) for layer in report.layers] == [
        ('(network)', 'convolution', 36 * 5 * 27)]


@pytest.mark.parametrize(('product', 'macs'), [
    (lambda net, x: x @ net.weight, 2 * 3 * 6 * 4 * 5),
    (lambda net, x: torch.einsum('nchw,wk->nchk', x, net.weight), 2 * 3 * 6 * 4 * 5),
    (lambda net, x: x @ x.transpose(-1, -2), 2 * 3 * 6 * 4 * 6),
    (lambda net, x: torch.baddbmm(torch.zeros(1), x[0], x[1].mT), 3 * 6 * 4 * 6),
    (lambda net, x: torch.mv(net.weight, x[0, 0, 0, :1].expand(5)), 4 * 5),
    (lambda net, x: torch.dot(x[0, 0, 0], x[0, 0, 1]), 4),
    (lambda net, x: F.scaled_dot_product_attention(x, x, x), 2 * 3 * 6 * 6 * (4 + 4)),
])
@pytest.mark.parametrize('context', [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_products_of_matrices(product, macs, context):
    net = Calls(product, weight=nn.Parameter(torch.rand(4, 5)))
    with context():
        report = counted(net, torch.rand(2, 3, 6, 4))
    assert sum(layer.macs for layer in report.layers) == macs
    assert report.acs_per_px == 0


def test_spikes_on_either_side_of_a_product():
    a, b = torch.randint(0, 2, (3, 4)).float(), torch.randint(0, 3, (4, 5)).float()
    float_b = torch.rand(4, 5)

    def acs(product):
        return counted(Calls(product), torch.zeros(1, 1, 1, 1)).acs_per_px

    assert acs(lambda net, x: a @ float_b) == float(a.sum()) * 5
    assert acs(lambda net, x: float_b.T @ a.T) == float(a.sum()) * 5
    assert acs(lambda net, x: a @ b) == float((a @ b).sum())  # an event of either side at the same place


def test_whole_numbers_in_weights_are_no_spikes():
    linear = nn.Linear(4, 3)
    nn.init.ones_(linear.weight)
    assert only_layer(linear, torch.rand(1, 1, 2, 4)).macs == 2 * 4 * 3


def test_what_computes_and_is_not_counted_is_named():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.Softmax(1),
                           nn.Upsample(scale_factor=2, mode='bilinear'))
    warnings = counted(layers, torch.rand(1, 3, 4, 4)).warnings
    for name in ('batch_norm', 'group_norm', 'softmax', 'upsample_bilinear2d'):
        assert sum(name in warning and 'is not counted' in warning for warning in warnings) == 1, name
    assert any('first in 4,' in warning and '256 results' in warning for warning in warnings)


@torch.library.custom_op('basicsr_snn_tests::triple', mutates_args=())
def triple(x: torch.Tensor) -> torch.Tensor:
    return 3 * x


def test_custom_operators_are_named():
    report = counted(Calls(lambda net, x: triple(x)), torch.rand(1, 3, 4, 4))
    (warning,) = report.warnings
    assert 'basicsr_snn_tests.triple' in warning


def test_elementwise_work_is_listed_without_a_warning():
    report = counted(Calls(lambda net, x: F.pixel_shuffle((x + x.relu()).mean(1, keepdim=True).repeat(1, 4, 1, 1), 2)),
                     torch.rand(1, 3, 4, 4))
    assert report.warnings == ()
    assert {one.op: one.light for one in report.uncounted} == {'add': True, 'relu': True, 'mean': True}


def test_layer_that_reads_spikes_only_sometimes_reads_floats():
    conv = nn.Conv2d(1, 1, 1)
    report = counted(conv, torch.ones(1, 1, 4, 4), torch.rand(1, 1, 4, 4))
    assert (report.macs_per_px, report.acs_per_px) == (1, 0)
    assert 'in some calls and floats in others' in report.warnings[0]


def test_dead_relu_is_not_a_spiking_layer():
    net = nn.Sequential(nn.ReLU(), nn.Conv2d(1, 2, 1))
    report = counted(net, -torch.rand(1, 1, 4, 4))
    assert not report.spiking
    assert (report.macs_per_px, report.effective_macs_per_px) == (2, 0)


def test_spike_driven_student_has_macs_in_the_stem_only():
    torch.manual_seed(0)
    report = counted(SpikerIR(size='tiny', T=2).eval().fold(), torch.rand(1, 3, 16, 16))
    assert report.float_layers == ('stem',)
    assert report.macs_per_px == 12 * 3 * 9  # once, though it drives two steps
    assert report.acs_per_px > 0
    assert 0 < report.firing_rate < 4
    assert report.warnings == ()


def test_rates_by_neuron_layer():
    class Emits(SignedILIF):
        def forward(self, x):
            return torch.tensor([0., 1., -3., 0.]).view(2, 1, 1, 1, 2)

    report = counted(Calls(lambda net, x: net.neuron(x), neuron=Emits(1)), torch.rand(1, 1, 1, 2))
    (layer,) = report.neurons
    assert (layer.name, layer.updates, layer.events, layer.active, layer.max_count) == ('neuron', 4, 4, 2, 3)
    assert (layer.firing_rate, report.firing_rate, report.max_count) == (1, 1, 3)
    assert (report.T, report.D, report.neuron_updates) == (2, 4, 4)


def test_steps_of_a_network_called_step_by_step():
    def loop(net, x):
        return sum(net.conv(net.node(x)) for _ in range(3))

    report = counted(Calls(loop, node=neuron.IFNode(), conv=nn.Conv2d(1, 1, 1)), torch.rand(2, 1, 4, 4))
    assert report.T == 3


def test_twice_the_picture_is_twice_the_operations():
    torch.manual_seed(0)
    net = SpikerIR(size='tiny').eval()
    row = torch.rand(1, 3, 32, 32)
    once, twice = counted(net, row), counted(net, torch.cat([row, row]))
    assert twice.acs_per_px == pytest.approx(once.acs_per_px)
    assert twice.firing_rate == pytest.approx(once.firing_rate)
    apart = counted(net, row, row)
    assert (apart.pictures, apart.events, apart.acs_per_px) == (2, twice.events, twice.acs_per_px)
    assert apart.energy_nj_px(memory=True) == pytest.approx(twice.energy_nj_px(memory=True))


def test_higher_picture_has_as_many_operations_a_pixel_but_for_borders():
    torch.manual_seed(0)
    net, row = SpikerIR(size='tiny').eval(), torch.rand(1, 3, 32, 32)
    once, higher = counted(net, row), counted(net, torch.cat([row, row.flip(2)], dim=2))
    assert higher.macs_per_px == once.macs_per_px
    assert higher.acs_per_px == pytest.approx(once.acs_per_px, rel=0.05)


@pytest.mark.parametrize('context', [torch.inference_mode, torch.enable_grad])
def test_counting_leaves_outputs_untouched(context):
    torch.manual_seed(0)
    net, picture = SpikerIR(size='tiny', T=2), torch.rand(2, 3, 16, 17)
    with context():
        plain = net(picture)
        with OperationCounter(net):
            assert torch.equal(net(picture), plain)
        assert torch.equal(net(picture), plain)
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in net.modules())


def test_counting_leaves_gradients_untouched():
    torch.manual_seed(0)
    net, picture = SpikerIR(size='tiny'), torch.rand(1, 3, 16, 16)
    gradients = []
    for context in (OperationCounter(net), torch.enable_grad()):
        net.zero_grad()
        with context:
            net(picture).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in net.parameters()])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_neurons_run_unwatched():
    modes = []

    class Asks(SignedILIF):
        def forward(self, x):
            modes.append(_get_current_dispatch_mode())
            return super().forward(F.conv2d(x[0], torch.rand(1, 1, 1, 1))[None])

    net = nn.Sequential(Asks(1), nn.Flatten(0, 1), nn.Conv2d(1, 1, 1))
    report = counted(Calls(lambda self, x: self.net(x[None]), net=net), torch.rand(1, 1, 4, 4))
    assert modes == [None]
    assert [layer.name for layer in report.layers] == ['net.2']


def test_error_in_the_network_leaves_nothing_behind():
    def fail(net, x):
        net.neuron(x[None])
        raise ZeroDivisionError

    net = Calls(fail, neuron=SignedILIF(3))
    with pytest.raises(ZeroDivisionError), OperationCounter(net):
        net(torch.rand(1, 3, 4, 4))
    assert _get_current_dispatch_mode() is None
    assert not net._forward_hooks


def test_operations_outside_the_network_do_not_count():
    conv = nn.Conv2d(3, 3, 1)
    with OperationCounter(conv) as counter:
        F.conv2d(conv(torch.rand(1, 3, 4, 4)), torch.rand(3, 3, 1, 1))
    assert counter.report().macs_per_px == 9


def test_a_counter_refuses_to_guess():
    net = SpikerIR(size='tiny').eval()
    with pytest.raises(ValueError, match='run the network inside'):
        OperationCounter(net).report()
