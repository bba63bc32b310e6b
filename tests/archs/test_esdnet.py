"""The published spiking peer: parameters to the digit, its parts against SpikingJelly's, what reads floats, rest."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from basicsr.archs import build_network
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import layer
from torch import nn

from basicsr_snn.archs.esdnet_arch import (
    PUBLISHED_NEURON,
    BilinearUpsample,
    ESDNet,
    FeatureRefinement,
    FloatTdbnConv,
    SpikingResidualBlock,
    SpikingTdbnConv,
    threshold_of,
)
from basicsr_snn.archs.esdnet_attention import MultiDimensionalAttention
from basicsr_snn.energy import OperationCounter
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import deployed
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.spiking.blocks import SpikingConv
from basicsr_snn.spiking.neurons import NEURONS, build_neuron, is_spiking
from basicsr_snn.spiking.ternary import parameters_of

REPOSITORY = Path(__file__).resolve().parents[2]
TAKEN = [name for name in NEURONS if name not in ('PhaseIF', 'FirstSpikeIF')]
SHORT = {'dim': 16, 'encoder_blocks': (1, 1, 1), 'decoder_blocks': (1, 1, 1)}


def numel(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def trained_like(seed: int = 0, **options) -> ESDNet:
    """A short network in eval mode whose normalisation is not at its initial values."""
    torch.manual_seed(seed)
    net = ESDNet(**{**SHORT, **options})
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.mul_(1 + 0.3 * torch.randn_like(module.weight))
                module.bias.normal_(0, 0.05)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.2, 1.0)
    return net.eval()


def picture(height: int = 8, width: int = 12, batch: int = 1, channels: int = 3) -> torch.Tensor:
    return torch.rand(batch, channels, height, width, generator=torch.Generator().manual_seed(1))


def block_parameters(channels: int, steps: int = 4) -> int:
    """Three 3x3 convolutions, scale and shift of their tdBN, the perceptrons over time and channels, a 3x3 of two."""
    return (27 * channels ** 2 + 6 * channels + 2 * steps * max(1, steps // 4)
            + 2 * channels * (channels // 16) + 2 * 9)


def network_parameters(dim: int, encoder: tuple[int, int, int], decoder: tuple[int, int, int]) -> int:
    blocks = sum(n * block_parameters(c) for n, c in zip(encoder, (dim, 2 * dim, 4 * dim), strict=True))
    blocks += sum(n * block_parameters(c) for n, c in zip(decoder, (2 * dim, 2 * dim, 4 * dim), strict=True))
    stem = 9 * 3 * dim
    down = 9 * 2 * dim ** 2 + 4 * dim + 9 * 8 * dim ** 2 + 8 * dim
    up = 9 * 8 * dim ** 2 + 4 * dim + 9 * 2 * dim ** 2 + 2 * dim
    reduce = 8 * dim ** 2 + 4 * dim
    wide, narrow = 2 * dim, 2 * dim // 8
    refinement = (2 * wide * narrow + narrow + wide
                  + 9 * wide ** 2 + wide + 9 * wide * narrow + narrow + 9 * narrow * wide + wide)
    return stem + blocks + down + up + reduce + refinement + 9 * wide * 3 + 3


def parameters_seen_by_thop(net: ESDNet) -> int:
    """What the published code's counter reports: ``thop`` knows torch's own layers and takes SpikingJelly's, which are
    most of the network, for nothing."""
    attention = [module for module in net.modules() if isinstance(module, MultiDimensionalAttention)]
    return sum(p.numel() for part in (*attention, net.refinement, net.head) for p in part.parameters())


def test_published_network_has_the_counted_parameters():
    """12,811,463 is what the authors' network sums to; 165,911 of them are what `thop` sees and was published."""
    with torch.device('meta'):
        net = ESDNet(dim=48, encoder_blocks=(4, 4, 8), decoder_blocks=(2, 2, 2))
    assert numel(net) == 12_811_463
    assert parameters_seen_by_thop(net) == 165_911


@pytest.mark.parametrize(('dim', 'encoder', 'decoder'), [
    (48, (4, 4, 8), (2, 2, 2)), (24, (4, 4, 8), (2, 2, 2)), (16, (1, 2, 3), (3, 1, 2)),
])
def test_parameters_follow_the_closed_form(dim, encoder, decoder):
    with torch.device('meta'):
        net = ESDNet(dim=dim, encoder_blocks=encoder, decoder_blocks=decoder)
    assert numel(net) == network_parameters(dim, encoder, decoder)
    assert round(network_parameters(24, (4, 4, 8), (2, 2, 2)) / 1e6, 2) == 3.21


@pytest.mark.parametrize(('channels', 'steps'), [(48, 4), (24, 1), (32, 8)])
def test_parameters_of_a_block_follow_the_closed_form(channels, steps):
    assert numel(SpikingResidualBlock(channels, PUBLISHED_NEURON, 0.15, steps)) == block_parameters(channels, steps)


@settings(max_examples=15, deadline=None)
@given(steps=st.integers(4, 9), channels=st.integers(16, 40), batch=st.integers(1, 3), height=st.integers(1, 7),
       width=st.integers(1, 7), folded=st.booleans())
def test_attention_gives_what_the_layer_of_spikingjelly_gives(steps, channels, batch, height, width, folded):
    torch.manual_seed(steps * channels + height)
    ours = MultiDimensionalAttention(steps, channels).double()
    theirs = layer.MultiDimensionalAttention(steps, channels, reduction_t=4, reduction_c=16).double()
    with torch.no_grad():
        for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.copy_(own.view_as(other))
    x = torch.randn(steps * batch, channels, height, width).double()
    x = (x.to(memory_format=torch.channels_last) if folded else x).unflatten(0, (steps, batch)).requires_grad_()
    weights = torch.randn(x.shape).double()
    results = []
    for attention in (ours, theirs):
        out = attention(x)
        results.append((out, *torch.autograd.grad((out * weights).sum(), [x, *attention.parameters()])))
    for own, other in zip(*results, strict=True):
        assert (own - other.view_as(own)).abs().max() < 1e-12


def test_attention_keeps_channels_last():
    x = torch.randn(4 * 2, 16, 5, 6).to(memory_format=torch.channels_last).unflatten(0, (4, 2))
    assert MultiDimensionalAttention(4, 16)(x).flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('v_th', [0.15, 0.03])
def test_tdbn_is_that_of_spikingjelly(training, v_th):
    theirs = layer.ThresholdDependentBatchNorm2d(num_features=16, alpha=2 ** -0.5, v_th=v_th).train(training)
    ours = FloatTdbnConv(16, v_th).train(training)
    nn.init.dirac_(ours.conv.weight)
    x = torch.randn(4, 2, 16, 5, 6) + torch.arange(16.).view(-1, 1, 1)
    for _ in range(2):  # the second call meets the running statistics of the first
        assert torch.allclose(ours(x), theirs(x), atol=1e-6)
    assert torch.allclose(ours.norm.running_var, theirs.running_var)
    spiking = SpikingTdbnConv(16, 16, 1, PUBLISHED_NEURON, v_th)
    assert torch.equal(spiking.norm.weight, theirs.weight)
    assert spiking.conv.bias is None


def test_lif_membrane_by_hand():
    """v = v / 2 + x and a hard reset to 0 where it reaches 0.15, four steps of one neuron."""
    x = torch.tensor([0.1, 0.1, 0.1, 0.08])
    # 0.1 | 0.05 + 0.1 = 0.15 fires, 0 | 0.1 | 0.05 + 0.08 = 0.13
    assert build_neuron(PUBLISHED_NEURON, 1)(x.double().view(4, 1, 1, 1, 1)).flatten().tolist() == [0, 1, 0, 0]


def test_block_is_identity_plus_rectified_attention_of_both_branches():
    torch.manual_seed(0)
    block = SpikingResidualBlock(16, PUBLISHED_NEURON, 0.15, 4).double().eval()
    block.body[0].norm.running_var.fill_(0.1)  # spikes often enough for the second neuron to spike
    x = torch.randn(4, 2, 16, 6, 6).double()

    def tdbn(out, norm):
        return (out / (norm.running_var + norm.eps).sqrt().view(-1, 1, 1)) * norm.weight.view(-1, 1, 1)

    def lif(values):
        v, spikes = 0, []
        for value in values:
            v = v / 2 + value
            spikes.append((v >= 0.15).double())
            v = v * (v < 0.15)
        return torch.stack(spikes)

    branch = x
    for stage in block.body:
        branch = torch.stack([tdbn(nn.functional.conv2d(s, stage.conv.weight, padding=1), stage.norm)
                              for s in lif(branch)])
    shortcut = torch.stack([tdbn(nn.functional.conv2d(step, block.shortcut.conv.weight, padding=1),
                                 block.shortcut.norm) for step in x])
    assert branch.abs().max() > 0
    expected = x + block.attention(branch + shortcut)
    assert (block(x) - expected).abs().max() < 1e-12


def test_refinement_blends_by_its_gates():
    torch.manual_seed(0)
    refinement = FeatureRefinement(16)
    x = torch.randn(2, 16, 5, 4)
    a, t = refinement.channel(x), refinement.space(x)
    assert a.shape == (2, 16, 1, 1)
    assert torch.allclose(refinement(x), (1 - t) * a + t * x, atol=1e-6)


def test_upsampling_interpolates_before_the_neuron_spikes():
    torch.manual_seed(0)
    up = BilinearUpsample(16, 8, PUBLISHED_NEURON, 0.15).eval()
    read = []
    up.conv.neuron.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    out = up(torch.tensor([0., 4.]).expand(1, 1, 16, 1, 2))
    assert out.shape == (1, 1, 8, 2, 4)
    assert read[0][0, 0, 0].tolist() == [[0, 1, 3, 4]] * 2


def test_one_spiking_convolution_of_three_in_each_block_reads_floats():
    """22 of the 71 convolutions that pass for spiking, the shortcuts; so do stem, gates, refinement and head."""
    torch.manual_seed(0)
    net = ESDNet(dim=16, encoder_blocks=(4, 4, 8), decoder_blocks=(2, 2, 2)).eval().fold()
    with OperationCounter(net) as counter, torch.no_grad():
        net(picture(16, 16))
    report = counter.report()
    float_layers = {count.name for count in report.layers if count.macs}
    spiking = [f'{name}.conv' for name, module in net.named_modules() if isinstance(module, SpikingConv)]
    shortcuts = [f'{name}.conv' for name, module in net.named_modules() if isinstance(module, FloatTdbnConv)]
    assert (len(spiking), len(shortcuts)) == (49, 22)
    assert set(shortcuts) <= float_layers
    assert not set(spiking) & float_layers
    named_float = {'stem', 'head'} | set(shortcuts)
    assert all(name in named_float or '.attention.' in name or name.startswith('refinement.') for name in float_layers)
    layers = {count.name: count for count in report.layers}
    # a shortcut: 9 * 16 weights, 16 outputs and 4 steps at each pixel; on the second level, a quarter of the pixels
    assert layers['encoder.0.0.shortcut.conv'].macs / report.pixels == 4 * 9 * 16 * 16
    assert layers['encoder.1.0.shortcut.conv'].macs / report.pixels == 4 * 9 * 32 * 32 / 4
    assert layers['stem'].macs / report.pixels == 9 * 3 * 16
    assert report.acs_per_px > 0


def test_neurons_stand_where_they_were_published():
    with torch.device('meta'):
        net = ESDNet(encoder_blocks=(4, 4, 8), decoder_blocks=(2, 2, 2))
    neurons = [m for name, m in net.named_modules() if is_spiking(m)]
    assert len(neurons) == 49
    for node in neurons:
        assert (node.tau, node.v_threshold, node.v_reset, node.decay_input) == (2.0, 0.15, 0.0, False)
        assert type(node.surrogate_function).__name__ == 'Sigmoid'


@pytest.mark.parametrize('neuron', [*TAKEN, None])
def test_folded_network_gives_the_same_pictures(neuron):
    net = trained_like(neuron=neuron and {'type': neuron}).double()
    x = picture(7, 10, batch=2).double()
    with torch.no_grad():
        expected = net(x)
        assert (expected - x).abs().max() > 1e-3
        folded = net.fold()(x)
        assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
        assert (folded - expected).abs().max() < 1e-9
        assert torch.equal(net.fold()(x), folded)


def test_deployed_copy_is_channels_last_at_every_time_step_and_gives_the_same_picture():
    net = trained_like()
    shipped = deployed(net)
    seen = []
    for module in (m for part in (shipped.encoder, shipped.down, shipped.decoder, shipped.up, shipped.reduce)
                   for m in part.modules()):
        if isinstance(module, nn.Conv2d) and module.in_channels >= 16:
            module.register_forward_pre_hook(lambda m, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        x = picture().to(memory_format=torch.channels_last)
        assert (shipped(x) - net(x)).abs().mean() < 1e-3
    assert len(seen) == 6 * 3 + 2 + 2 + 1  # blocks, down, up, reduction
    assert all(tensor.stride(1) == 1 for tensor in seen)
    assert numel(shipped) < numel(net)


@pytest.mark.parametrize('steps', [1, 2, 3, 4, 5, 8])
def test_any_number_of_time_steps_may_be_built(steps):
    net = trained_like(T=steps)
    assert net.encoder[0][0].attention.time[0].out_features == max(1, steps // 4)
    with torch.no_grad():
        assert torch.isfinite(net(picture())).all()


def test_time_steps_of_a_built_network_are_fixed():
    net = ESDNet(**SHORT)
    net.T = 4
    with pytest.raises(UserError, match='T: 2 was asked of an ESDNet with T: 4.*build one with T: 2'):
        net.T = 2
    assert net.T == 4


@settings(max_examples=8, deadline=None)
@given(height=st.integers(1, 21), width=st.integers(1, 21), steps=st.integers(1, 4), channels=st.sampled_from([1, 3]))
def test_any_picture_size(height, width, steps, channels):
    net = trained_like(T=steps, in_ch=channels)
    with torch.no_grad():
        out = net(picture(height, width, channels=channels))
    assert out.shape == (1, channels, height, width)
    assert torch.isfinite(out).all()


def test_a_picture_alone_is_the_picture_in_a_batch():
    net = trained_like().double()
    pictures = torch.cat([picture(), picture().flip(-1), 1 - picture()]).double()
    with torch.no_grad():
        together = net(pictures)
        for index in range(3):
            assert (net(pictures[index:index + 1]) - together[index]).abs().max() < 1e-10


@pytest.mark.parametrize('neuron', [name for name in TAKEN if is_spiking(build_neuron({'type': name}, 1))])
def test_state_starts_from_rest_at_every_forward(neuron):
    net = trained_like(neuron={'type': neuron})
    with torch.no_grad():
        first = net(picture())
        net(picture(9, 11, batch=2))
        assert torch.equal(net(picture()), first)


def test_a_call_that_fails_leaves_no_state():
    net = trained_like()
    with torch.no_grad():
        first = net(picture())
        broken = net.head.register_forward_pre_hook(lambda module, inputs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            net(picture(9, 11, batch=2))
        broken.remove()
        assert torch.equal(net(picture()), first)


def test_every_parameter_learns_and_no_graph_is_kept():
    """But for hidden units of a gate that the initial weights leave dead, as any rectified unit may be."""
    torch.manual_seed(0)
    net = ESDNet(**SHORT)
    for _ in range(2):
        net.zero_grad()
        out = net(picture(16, 16, batch=2))
        (out - 0.5).square().mean().backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [name for name in without if not ('attention.time' in name or 'attention.channel' in name)] == []
    gates = [p for name, p in net.named_parameters() if 'attention.time' in name or 'attention.channel' in name]
    assert sum(bool(p.grad.abs().sum() > 0) for p in gates) > len(gates) / 2


@pytest.mark.parametrize(('neuron', 'v_th'), [
    (PUBLISHED_NEURON, 0.15), ({'type': 'LIFNode', 'v_threshold': 0.4}, 0.4), ({'type': 'SignedILIF'}, 0.1),
    ({'type': 'ILIFNode', 'v_threshold': 0.2}, 0.2), ({'type': 'relu'}, 0.15),
])
def test_tdbn_begins_at_the_threshold_of_the_neuron(neuron, v_th):
    assert threshold_of(neuron) == pytest.approx(v_th)
    net = ESDNet(**SHORT, neuron=neuron)
    first, second = net.encoder[0][0].body
    assert first.norm.weight[0].item() == pytest.approx(v_th / 2 ** 0.5)
    assert second.norm.weight[0].item() == pytest.approx(0.2 * v_th / 2 ** 0.5)


def test_parameters_are_those_of_the_published_code_and_of_its_counter():
    with torch.device('meta'):
        published, paper = ESDNet(), ESDNet(size='paper')
    assert (parameters_of(published), parameters_seen_by_thop(published)) == (12_811_463, 165_911)  # ESDNet issue 11
    assert (parameters_of(paper), parameters_seen_by_thop(paper)) == (15_584_503, 172_039)
    assert [level[0].body[0].conv.in_channels for level in paper.encoder] == [48, 96, 192, 384]
    assert [len(level) for level in paper.encoder] == [2, 2, 2, 2]


def test_four_levels_run():
    net = ESDNet(dim=16, encoder_blocks=[1, 1, 1, 1], decoder_blocks=[1, 1, 1, 0], T=1).eval()
    assert net.multiple_of == 8
    with torch.no_grad():
        assert net(torch.rand(1, 3, 9, 17)).shape == (1, 3, 9, 17)


def test_docstring_yaml_builds_the_published_network():
    options = yaml.safe_load(ESDNet.__doc__.split('.. code-block:: yaml')[1])
    with torch.device('meta'):
        net = build_network(options['network_g'])
    assert isinstance(net, ESDNet)
    assert repr(net) == repr(ESDNet())


def test_training_file_shares_the_recipe_of_the_control_but_for_the_rate_of_learning_and_the_budget():
    peer = read_options(REPOSITORY / 'options/train/ESDNet/color25.yml')
    control = read_options(REPOSITORY / 'options/train/SpikerIR/control_color25.yml')
    del peer['train']['optim_g'], control['train']['optim_g'], control['train']['rate_opt']
    assert [peer[key] for key in ('model_type', 'datasets', 'train', 'logger')] == \
        [control[key] for key in ('model_type', 'datasets', 'train', 'logger')]


@pytest.mark.parametrize(('options', 'sentence'), [
    ({'dim': 12}, 'dim: 12, but its attention needs 16 or more channels; write dim: 24'),
    ({'T': 0}, 'T: 0, but needs at least one time step; write T: 4'),
    ({'encoder_blocks': [4, 4, 8, 8]}, r'encoder_blocks: \[4, 4, 8, 8\].* as many of both.* write .*\[4, 4, 8\]'),
    ({'decoder_blocks': [2, 0, 2]}, r'decoder_blocks: \[2, 0, 2\].* write .*\[2, 2, 2\]'),
    ({'size': 'large'}, 'write size: published or size: paper'),
    ({'neuron': {'type': 'LIFNod'}}, 'did you mean LIFNode'),
])
def test_mistakes_get_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        ESDNet(**options)


def test_attention_refuses_what_has_no_hidden_unit():
    with pytest.raises(UserError, match='4 time steps and 15 channels, but needs at least 1 and 16'):
        MultiDimensionalAttention(4, 15)
    with pytest.raises(UserError, match='0 time steps'):
        MultiDimensionalAttention(0, 16)
