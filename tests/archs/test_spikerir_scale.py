"""The student that enlarges pictures, and one that writes other channels than it reads: every rule of the first."""
from __future__ import annotations

import copy
import math
from itertools import product

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn import zoo
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.energy import OperationCounter
from basicsr_snn.errors import UserError
from basicsr_snn.exporting import export
from basicsr_snn.exporting.photographs import photographs_to_round
from basicsr_snn.images.enlarging import BicubicEnlargement
from basicsr_snn.inference.calling import deployed
from basicsr_snn.inference.contract import WrappedNetwork, as_restorer
from basicsr_snn.inference.self_ensemble import SelfEnsemble, turn
from basicsr_snn.inference.tiling import tiled_forward
from basicsr_snn.spiking.int8 import to_int8
from basicsr_snn.spiking.neurons.phase import count_form, phase_form
from basicsr_snn.weight_files.card import Card
from basicsr_snn.zoo.same_network import differences

FACTORS = (2, 3, 4)
NETWORK_G = {'type': 'SpikerIR', 'channels': [4, 6, 8], 'blocks': [1, 1, 1], 'neuron': {'type': 'SignedILIF', 'D': 8},
             'hidden': {'lowest': 0}}


def lively(network: dict, seed: int = 0) -> SpikerIR:
    """A network whose residual is as large as the picture's contrast."""
    torch.manual_seed(seed)
    net = zoo.build(network).eval()
    with torch.no_grad():
        net.head.conv.weight.mul_(5)
    return net


def enlarging(scale: int, **options: object) -> SpikerIR:
    return lively({**NETWORK_G, 'scale': scale, **options})


def picture(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('scale', FACTORS)
@pytest.mark.parametrize('folded', [False, True])
def test_every_convolution_but_the_stem_reads_spikes_and_the_base_is_counted(scale, folded):
    net = enlarging(scale, norm='bn', T=2)
    net = net.fold() if folded else net
    read: dict[str, Tensor] = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, inputs, out, name=name: read.update({name: inputs[0].detach()}))
    counter = OperationCounter(net)
    with torch.no_grad(), counter:
        net(picture(1, 3, 16, 20))
    assert [name for name, spikes in read.items() if not torch.equal(spikes, spikes.round())] == ['stem']
    assert read['head.conv'].abs().sum() > 0
    report = counter.report()
    assert report.float_layers == ('stem', 'enlarge.across', 'enlarge.down')
    macs = {layer.name: layer.macs / (16 * 20) for layer in report.layers if not layer.reads_spikes}
    assert macs == {'stem': 3 * 4 * 9, 'enlarge.across': 3 * 5 * scale, 'enlarge.down': 3 * 5 * scale ** 2}
    assert report.pixels == 16 * 20  # of the picture that is read
    twin_of = {layer.name: layer.twin_macs for layer in report.layers}
    assert twin_of['enlarge.down'] == macs['enlarge.down'] * 16 * 20  # once, not once a step
    assert all('batch_norm' in warning for warning in report.warnings)  # which folds away



@pytest.mark.parametrize('scale', [1, *FACTORS])
def test_a_residual_of_zero_leaves_the_picture_in_its_new_size(scale):
    net = enlarging(scale)
    with torch.no_grad():
        net.head.conv.weight.zero_()
        net.head.conv.bias.zero_()
        given = picture(2, 3, 8, 12)
        expected = given if scale == 1 else BicubicEnlargement(scale)(given)
        assert torch.equal(net(given), expected)


@pytest.mark.parametrize('scale', FACTORS)
def test_each_pixel_of_the_head_becomes_a_square_of_the_answer(scale):
    net, heads = enlarging(scale), []
    net.head.register_forward_hook(lambda module, inputs, output: heads.append(output[0]))
    given = picture(1, 3, 8, 12)
    with torch.no_grad():
        residual = net(given) - BicubicEnlargement(scale)(given)
    head = heads[0].view(1, 3, scale, scale, 8, 12)
    for row, column in product(range(scale), repeat=2):
        assert torch.allclose(residual[:, :, row::scale, column::scale], head[:, :, row, column], atol=1e-6)


@pytest.mark.parametrize('scale', FACTORS)
@pytest.mark.parametrize('size', [(1, 1), (13, 10), (7, 33), (2, 1)])
def test_any_size_is_padded_inside(scale, size):
    height, width = size
    net = enlarging(scale)
    with torch.no_grad():
        answer = net(picture(1, 3, height, width))
    assert answer.shape == (1, 3, scale * height, scale * width)
    assert torch.isfinite(answer).all()


@pytest.mark.parametrize('scale', FACTORS)
def test_tiles_and_views_give_what_the_whole_picture_gives(scale):
    net = enlarging(scale).fold()
    given = picture(2, 3, 61, 94)
    with torch.no_grad():
        whole = net(given)
        tiled = tiled_forward(net, given, 16, net.receptive_field, batch=2)
        both = SelfEnsemble(net, 2)
        assert (both.scale, both.written_channels) == (scale, 3)
        views = both(given[..., :60, :92])
        plain = net(given[..., :60, :92])
        turned = turn(net(turn(given[..., :60, :92], 2, False)), 2, False)
    assert tiled.shape == whole.shape
    assert (tiled - whole).abs().mean() < 1e-4  # a sum in another order may tip a count over
    assert torch.allclose(views, (plain + turned) / 2, atol=1e-6)


@pytest.mark.parametrize('scale', FACTORS)
def test_nothing_depends_on_pixels_beyond_the_receptive_field(scale):
    net = enlarging(scale, neuron={'type': 'relu'}, hidden={})
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.rand_like(parameter) * 0.1 + 0.01)
    centre, farthest = 2 * net.receptive_field, 0
    for shift in range(net.multiple_of * scale):
        given = torch.ones(1, 3, 8, 2 * centre, requires_grad=True)
        net(given)[0, 0, 4, scale * centre + shift].backward()
        columns = given.grad.abs().sum((0, 1, 2)).nonzero()
        farthest = max(farthest, int((columns - centre - shift // scale).abs().max()))
    assert 0.8 * net.receptive_field <= farthest <= net.receptive_field


@pytest.mark.parametrize('scale', FACTORS)
@pytest.mark.parametrize('options', [{'norm': 'bn'}, {'weights': 'ternary'},
                                     {'T': 3, 'neuron': {'type': 'LIFNode'}, 'hidden': {}}],
                         ids=str)
def test_folded_and_in_eight_bits_it_gives_the_same_pictures(scale, options):
    net = enlarging(scale, **options)
    given = picture(1, 3, 14, 18)
    with torch.no_grad():
        expected = net(given)
        folded = deployed(net)
        eight = to_int8(folded)
        assert (folded(given) - expected).abs().mean() < 1e-3
        assert -10 * math.log10((eight(given) - expected).square().mean()) > 25  # 8-bit weights tip counts over


@pytest.mark.parametrize('scale', FACTORS)
def test_phase_coding_gives_the_same_pictures(scale):
    network = {**NETWORK_G, 'scale': scale}
    counted, phased = lively(network), zoo.build(phase_form(network)).eval()
    phased.load_state_dict(counted.state_dict())
    given = picture(1, 3, 12, 16).double()
    with torch.no_grad():
        assert (phased.double()(given) - counted.double()(given)).abs().max() < 1e-5
    assert count_form(phase_form(network))['scale'] == scale


@pytest.mark.parametrize('scale', FACTORS)
def test_the_running_mean_of_training_and_an_early_end_are_of_the_new_size(scale):
    net = enlarging(scale, T=3, neuron={'type': 'LIFNode'}, hidden={}).train()
    net.answer_every_step()
    given = picture(2, 3, 8, 8)
    with torch.no_grad():
        steps = net(given)
        assert steps.shape == (3, 2, 3, 8 * scale, 8 * scale)
        net.eval()
        assert torch.allclose(steps[-1], net(given), atol=1e-6)
        net.exit_tolerance = 1e9
        assert torch.allclose(net(given), steps[1], atol=1e-6)  # the second step is the first that can end it


@pytest.mark.parametrize('scale', FACTORS)
def test_a_training_step_reaches_every_parameter_in_bfloat16_too(scale):
    net = enlarging(scale).train()
    given = picture(2, 3, 8, 8)
    with torch.autocast('cpu', torch.bfloat16):
        answer = net(given)
        base = net.enlarge(given)
    assert base.dtype == torch.float32
    assert torch.equal(base, BicubicEnlargement(scale)(given))
    F.l1_loss(answer, torch.rand(answer.shape)).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in net.parameters())


@pytest.mark.parametrize(('options', 'int8'), [({'scale': 2}, True), ({'scale': 3, 'in_ch': 4, 'out_ch': 1}, False)])
def test_onnx_gives_the_same_pictures_of_any_size(options, int8, tmp_path):
    network = {**NETWORK_G, 'channels': [4, 4], 'blocks': [1, 0], **options}
    file, scale = tmp_path / 'net.onnx', options['scale']
    assert 'onnxruntime gives the pictures' in export(lively(network), network, 'onnx', file, int8=int8)
    session = onnxruntime.InferenceSession(file, providers=['CPUExecutionProvider'])
    net = deployed(lively(network))
    net = to_int8(net, photographs_to_round(net.in_ch)) if int8 else net
    for size in ((13, 10), (3, 1), (16, 24)):
        given = picture(2, net.in_ch, *size)
        answer, = session.run(None, {'degraded': given.numpy()})
        assert answer.shape == (2, net.written_channels, scale * size[0], scale * size[1])
        with torch.no_grad():
            assert (torch.from_numpy(answer) - net(given)).abs().mean() < 1e-3


def test_nir_refuses_it_in_words(tmp_path):
    pytest.importorskip('nir')
    network = {**NETWORK_G, 'scale': 2}
    with pytest.raises(UserError, match='NIR has no node for .*type --format onnx'):
        export(lively(network), network, 'nir', tmp_path / 'net.nir')


@pytest.mark.parametrize(('in_ch', 'out_ch', 'scale'), [(4, 3, 1), (3, 1, 2), (1, 3, 1), (6, 3, 4), (3, 5, 1)])
def test_any_channels(in_ch, out_ch, scale):
    network = {**NETWORK_G, 'in_ch': in_ch, 'out_ch': out_ch, 'scale': scale}
    net = lively(network)
    given = picture(1, in_ch, 9, 14)
    assert (net.in_ch, net.written_channels) == (in_ch, out_ch)
    with torch.no_grad():
        assert net(given).shape == (1, out_ch, 9 * scale, 14 * scale)
        assert tiled_forward(net, picture(1, in_ch, 70, 90), 16, 16).shape == (1, out_ch, 70 * scale, 90 * scale)
        net.head.conv.weight.zero_()
        net.head.conv.bias.zero_()
        base = given[:, :out_ch] if out_ch <= in_ch else given.mean(1, keepdim=True).expand(-1, out_ch, -1, -1)
        if scale == 1:
            assert torch.equal(net(given), base)


@pytest.mark.parametrize('options', [{'scale': 5}, {'scale': 0}, {'in_ch': 0}, {'out_ch': 0}, {'scale': 1.5}], ids=str)
def test_what_cannot_be_is_refused_in_one_sentence(options):
    with pytest.raises(UserError, match='SpikerIR was given .*; write at least one channel each, and scale: 1,'):
        SpikerIR(**{'channels': [4], 'blocks': [1], **options})


def test_at_scale_1_there_is_nothing_new():
    plain, told = (lively({**NETWORK_G, **more}) for more in ({}, {'scale': 1, 'out_ch': 3, 'in_ch': 3}))
    given = picture(1, 3, 13, 17)
    assert [name for name, _ in plain.named_modules()] == [name for name, _ in told.named_modules()]
    assert 'enlarge' not in dict(plain.named_modules())
    with torch.no_grad():
        assert torch.equal(plain(given), told(given))
    assert plain.state_dict().keys() == lively({**NETWORK_G, 'scale': 2}).state_dict().keys()


def test_weights_of_another_factor_are_another_network():
    net = lively({**NETWORK_G, 'scale': 2})
    assert any('scale is 2 here and 4 in the file' in one
               for one in differences({**NETWORK_G, 'scale': 4}, net, 10**6))
    assert Card({**NETWORK_G, 'scale': 2}, task='sr2').entries()['task'] == 'sr2'


class Nearest(nn.Module):
    """A network that does not state the contract."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor, self.norm = factor, nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.norm(x), scale_factor=self.factor)


def test_the_factor_of_an_unknown_network_is_found_out_without_a_trace():
    net = Nearest(3).train()
    before = copy.deepcopy(net.state_dict())
    wrapped = as_restorer(net)
    assert isinstance(wrapped, WrappedNetwork)
    assert (wrapped.in_ch, wrapped.written_channels, wrapped.scale) == (3, 3, 3)
    assert net.training
    assert net.norm.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert tiled_forward(as_restorer(net.eval()), picture(1, 3, 40, 50), 16, 4).shape == (1, 3, 120, 150)
