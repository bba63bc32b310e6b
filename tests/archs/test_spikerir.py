"""The student: what its convolutions read, its folded form, its pictures of any size, its independence of the past."""
from __future__ import annotations

import copy
import io

import pytest
import torch
import yaml
from basicsr.archs import build_network
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from basicsr_snn.archs.spikerir_arch import SIZES, SpikerIR
from basicsr_snn.errors import UserError
from basicsr_snn.images.padding import pad_to_multiple
from basicsr_snn.spiking.neurons import NEURONS, build_neuron, is_spiking

SPIKING = [name for name in NEURONS if is_spiking(build_neuron({'type': name}, 1))]
STEPS = {name: 4 if name in ('PhaseIF', 'FirstSpikeIF') else 2 for name in NEURONS}
LIMITS = {'tiny': 20_000, 'small': 87_038, 'fine': 87_038, 'base': 1_000_000}


def trained_like(seed: int = 0, **options) -> SpikerIR:
    """A network whose normalisation and thresholds are not at their initial values."""
    torch.manual_seed(seed)
    net = SpikerIR(**options)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if 'norm' in name or 'log_threshold' in name:
                parameter.add_(torch.randn_like(parameter) * 0.3)
        for name, buffer in net.named_buffers():
            if name.endswith('running_mean'):
                buffer.normal_(0, 0.1)
            elif name.endswith('running_var'):
                buffer.uniform_(0.2, 1.0)
    return net.eval()


def photograph(height: int, width: int, batch: int = 1, channels: int = 3) -> torch.Tensor:
    """Smooth structure and noise in 0..1, as the networks meet it."""
    torch.manual_seed(1)
    rows, columns = torch.linspace(0, 7, height).view(-1, 1), torch.linspace(0, 9, width)
    smooth = 0.5 + 0.4 * torch.sin(rows) * torch.cos(columns)
    return smooth.expand(batch, channels, height, width) + 0.1 * torch.randn(batch, channels, height, width)


@pytest.mark.parametrize('size', SIZES)
def test_presets_keep_their_parameter_limits(size):
    net = SpikerIR(size=size).eval().fold()
    assert 0.5 * LIMITS[size] < sum(p.numel() for p in net.parameters()) <= LIMITS[size]


@pytest.mark.parametrize('neuron', SPIKING)
@pytest.mark.parametrize('fused', [False, True])
def test_every_convolution_but_the_stem_reads_only_spikes(neuron, fused):
    net = trained_like(size='tiny', T=STEPS[neuron], neuron={'type': neuron}, norm='bn')
    net = net.fold() if fused else net
    read: dict[str, torch.Tensor] = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, inputs, out, name=name: read.update({name: inputs[0].detach()}))
    net(photograph(32, 40))
    floats = [name for name, spikes in read.items() if not torch.equal(spikes, spikes.round())]
    assert floats == ['stem']
    assert len(read) == sum(isinstance(m, nn.Conv2d) for m in net.modules())
    assert sum(spikes.abs().sum() for name, spikes in read.items() if name != 'stem') > 0


@pytest.mark.parametrize('neuron', NEURONS)
@pytest.mark.parametrize('norm', ['none', 'bn'])
def test_folded_network_gives_the_same_pictures(neuron, norm):
    net = trained_like(size='tiny', T=STEPS[neuron], neuron={'type': neuron}, norm=norm).double()
    picture = photograph(31, 45, batch=2).double()
    fused = copy.deepcopy(net).fold()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    assert (net(picture) - picture).abs().max() > 1e-3
    assert (fused(picture) - net(picture)).abs().max() < 1e-4


def test_folded_network_in_single_precision_differs_by_rounding_ties_only():
    net = trained_like(size='tiny', norm='bn')
    picture = photograph(64, 64)
    difference = (copy.deepcopy(net).fold()(picture) - net(picture)).abs()
    assert difference.mean() < 1e-4


def test_folding_twice_changes_nothing():
    net = trained_like(size='tiny', norm='bn').fold()
    picture = photograph(16, 16)
    once = net(picture)
    assert torch.equal(net.fold()(picture), once)


@pytest.mark.parametrize('neuron', ['SignedILIF', 'ILIFNode'])
def test_integer_counts_expanded_to_binary_slots_give_the_same_picture(neuron):
    """Each count k runs as unit events in D binary slots of its sign, accumulated one slot after the other."""
    net = trained_like(size='tiny', T=2, neuron={'type': neuron, 'D': 4}).fold().double()
    picture = photograph(24, 24).double()
    expected = net(picture)

    def by_slots(conv: nn.Conv2d):
        def forward(spikes, amplitude=None):
            assert amplitude is None
            current = 0
            for slot in range(4):
                events = (spikes.abs() > slot).double() * spikes.sign()
                assert set(events.unique().tolist()) <= {-1.0, 0.0, 1.0}
                current = current + nn.functional.conv2d(events, conv.weight, None, conv.stride, conv.padding)
            return current + conv.bias.view(-1, 1, 1)

        return forward

    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d) and name != 'stem':
            module.forward = by_slots(module)
    assert (net(picture) - expected).abs().max() < 1e-9


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 67), width=st.integers(1, 93), size=st.sampled_from(['tiny', 'base']))
def test_any_picture_size(height, width, size):
    net = trained_like(channels=[4, 4, 4] if size == 'base' else [4, 4], blocks=[1] * (3 if size == 'base' else 2))
    out = net(photograph(height, width))
    assert out.shape == (1, 3, height, width)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize(('height', 'width'), [(1, 1), (67, 93), (2, 1), (3, 64)])
def test_corner_sizes_with_the_default_student(height, width):
    assert trained_like(size='small')(photograph(height, width)).shape == (1, 3, height, width)


def test_padding_mirrors_and_falls_back_to_replication():
    picture = torch.tensor([[1., 2., 3.], [4., 5., 6.], [7., 8., 9.]]).view(1, 1, 3, 3)
    assert pad_to_multiple(picture, 4)[0, 0].tolist() == [[1, 2, 3, 2], [4, 5, 6, 5], [7, 8, 9, 8], [4, 5, 6, 5]]
    assert pad_to_multiple(picture[..., :1, :1], 2)[0, 0].tolist() == [[1, 1], [1, 1]]
    assert pad_to_multiple(picture, 3) is picture


@pytest.mark.parametrize('neuron', ['SignedILIF', 'LIFNode', 'ParametricLIFNode'])
def test_a_picture_alone_is_the_picture_in_a_batch(neuron):
    net = trained_like(size='tiny', T=3, neuron={'type': neuron}, norm='bn').double()
    pictures = torch.cat([photograph(20, 28), photograph(20, 28).flip(-1), torch.rand(1, 3, 20, 28)]).double()
    together = net(pictures)
    for index in range(3):
        assert (net(pictures[index:index + 1]) - together[index]).abs().max() < 1e-10


@pytest.mark.parametrize('neuron', SPIKING)
def test_state_starts_from_rest_at_every_forward(neuron):
    net = trained_like(size='tiny', T=STEPS[neuron], neuron={'type': neuron})
    picture = photograph(16, 24)
    first = net(picture)
    net(torch.rand(2, 3, 33, 17))
    assert torch.equal(net(picture), first)


def test_training_does_not_hold_the_graph_of_the_last_step():
    net = SpikerIR(size='tiny', T=2, neuron={'type': 'LIFNode'})
    for _ in range(2):
        net(photograph(16, 16)).sum().backward()
    assert net.stem.weight.grad is not None


@pytest.mark.parametrize('steps', [1, 2, 5])
def test_time_steps_may_change_after_building(steps):
    net = trained_like(size='tiny', T=2, neuron={'type': 'LIFNode'})
    net.T = steps
    rebuilt = SpikerIR(size='tiny', T=steps, neuron={'type': 'LIFNode'}).eval()
    rebuilt.load_state_dict(net.state_dict())
    picture = photograph(16, 16)
    assert torch.equal(net(picture), rebuilt(picture))


def test_the_stem_runs_once_for_all_time_steps():
    net = trained_like(size='tiny', T=4)
    calls = []
    net.stem.register_forward_hook(lambda *a: calls.append(a[2].shape))
    net(photograph(16, 16, batch=2))
    assert [tuple(shape) for shape in calls] == [(2, 12, 16, 16)]


def test_relu_twin_does_not_depend_on_time_steps():
    net = trained_like(size='tiny', neuron={'type': 'relu'}).double()
    picture = photograph(16, 16).double()
    single = net(picture)
    net.T = 3
    assert torch.allclose(net(picture), single)


@pytest.mark.parametrize('neuron', NEURONS)
def test_every_parameter_learns(neuron):
    torch.manual_seed(0)
    net = SpikerIR(size='tiny', T=STEPS[neuron], neuron={'type': neuron})
    picture = photograph(32, 32, batch=2)
    (net(picture) - picture.clamp(0.2, 0.8)).square().mean().backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_grey_pictures_and_reloading():
    net = trained_like(in_ch=1, size='tiny')
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = SpikerIR(in_ch=1, size='tiny').eval()
    other.load_state_dict(torch.load(file, weights_only=True))
    picture = photograph(10, 12, channels=1)
    assert torch.equal(other(picture), net(picture))


def test_docstring_yaml_builds():
    options = yaml.safe_load(SpikerIR.__doc__.split('.. code-block:: yaml')[1])
    assert isinstance(build_network(options['network_g']), SpikerIR)


@pytest.mark.parametrize(('options', 'sentence'), [
    ({'size': 'smal'}, 'did you mean small'),
    ({'T': 0}, 'T: 1 or more'),
    ({'norm': 'batch'}, 'norm: bn'),
    ({'channels': [8, 8, 8], 'size': 'tiny'}, '3 channels .* 2 blocks'),
])
def test_mistakes_get_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        SpikerIR(**options)


@pytest.mark.parametrize('name', ['SignedILIF', 'LIFNode'])
def test_early_exit_gives_the_mean_of_the_steps_it_took(name):
    torch.manual_seed(0)
    net = SpikerIR(channels=(4, 8), blocks=(1, 1), T=6, neuron={'type': name}).eval()
    picture = torch.rand(2, 3, 9, 10)
    with torch.no_grad():
        whole = net(picture)
        net.exit_tolerance = 1e-9
        torch.testing.assert_close(net(picture), whole)
        assert net.steps == 6
        net.exit_tolerance = 1.0
        early = net(picture)
        assert net.steps == 2
        net.T, net.exit_tolerance = 2, 0.0
        torch.testing.assert_close(early, net(picture))
    assert (early - whole).abs().max() > 1e-4


def test_early_exit_is_for_inference_only():
    net, picture = SpikerIR(channels=(4, 8), blocks=(1, 1), T=3, exit_tolerance=1.0).train(), torch.rand(1, 3, 8, 8)
    answer = net(picture)
    assert net.steps == 3
    net.exit_tolerance = 0.0
    assert torch.equal(answer, net(picture))
    answer.mean().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_negative_exit_tolerance_gets_a_sentence():
    with pytest.raises(UserError, match='exit_tolerance: -1; write 0'):
        SpikerIR(exit_tolerance=-1)


def test_hidden_neurons_differ_inside_the_blocks_only():
    net = SpikerIR(channels=(4, 8), blocks=(1, 1), neuron={'type': 'SignedILIF', 'D': 3}, hidden={'lowest': 0})
    lowest = {name: module.lowest for name, module in net.named_modules() if hasattr(module, 'lowest')}
    assert {name for name, count in lowest.items() if count == 0} == {
        f'{block}.body.1.neuron' for block in ('encoder.0.0', 'middle.0', 'decoder.0.0')}
    assert {count for count in lowest.values() if count} == {-3}
