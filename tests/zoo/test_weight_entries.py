"""Which entry of a weight file is loaded, under which names, and which kinds of tensors."""
from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from basicsr_snn.archs.dncnn_arch import DnCNN
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import deployed
from basicsr_snn.weight_files.reading import read_weight_file
from basicsr_snn.zoo.weights import load_entry_or_any, load_weights


@pytest.fixture
def net() -> DnCNN:
    torch.manual_seed(0)
    return DnCNN(nc=4, nb=3)


@pytest.fixture
def weights() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return DnCNN(nc=4, nb=3).state_dict()


@pytest.fixture
def log(caplog):
    """What BasicSR's log says."""
    logging.getLogger('basicsr').addHandler(caplog.handler)
    yield caplog
    logging.getLogger('basicsr').removeHandler(caplog.handler)


def saved(content: dict) -> Path:
    torch.save(content, 'a.pth')
    return Path('a.pth')


def assert_loaded(net: nn.Module, expected: dict[str, Tensor]) -> None:
    for name, value in net.state_dict().items():
        assert torch.equal(value, expected[name].to(value.dtype)), name


@pytest.mark.parametrize('layout', [
    lambda weights, other: {'params_ema': weights, 'params': other},
    lambda weights, other: {'params': weights, 'state_dict': other},
    lambda weights, other: {'state_dict': weights, 'optimizer': {'state': {}}, 'epoch': 1},
    lambda weights, other: {'generator': weights, 'epoch': 1},
    lambda weights, other: {'params': weights, 'network_g': {'type': 'DnCNN', 'nc': 4, 'nb': 3}, 'noise': 25},
    lambda weights, other: weights,
], ids=['ema', 'params', 'state_dict', 'only one', 'with a card', 'plain'])
@pytest.mark.parametrize('key', [None, 'absent'])
def test_one_rule_finds_the_entry(net, weights, layout, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = {name: value + 1 for name, value in weights.items()}
    read = []
    monkeypatch.setattr('basicsr_snn.zoo.weights.read_weight_file',
                        lambda path: read.append(path) or read_weight_file(path))
    load_entry_or_any(net, saved(layout(weights, other)), key, strict=True)
    assert len(read) == 1
    assert_loaded(net, weights)


def test_a_named_entry_goes_before_all(net, weights, tmp_path, monkeypatch, log):
    monkeypatch.chdir(tmp_path)
    other = {name: value + 1 for name, value in weights.items()}
    load_entry_or_any(net, saved({'params_ema': other, 'params': other, 'best': weights}), 'best', strict=True)
    assert_loaded(net, weights)
    assert 'Loading entry best of a.pth into DnCNN (it also has params_ema, params).' in log.text


def test_of_several_unknown_entries_one_must_be_named(net, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match='several entries with tensors, teacher, student; .*param_key_g: teacher'):
        load_weights(net, saved({'teacher': weights, 'student': weights}))


@pytest.mark.parametrize('rename', [
    lambda name: f'module.{name}', lambda name: f'_orig_mod.{name}', lambda name: f'module._orig_mod.{name}',
    lambda name: f'_orig_mod.module.{name}', lambda name: f'net_g.{name}', lambda name: f'module.generator.{name}',
    lambda name: name.replace('model.', 'model._orig_mod.'),
], ids=['module', 'compiled', 'both', 'both turned', 'net_g', 'generator', 'a compiled part'])
def test_names_of_wrappers_are_taken_off(net, weights, rename, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load_weights(net, saved({rename(name): value for name, value in weights.items()}))
    assert_loaded(net, weights)


def test_ternary_weights_of_a_wrapped_network(tmp_path, monkeypatch):
    from basicsr_snn.spiking.ternary import packed_state

    monkeypatch.chdir(tmp_path)
    net = SpikerIR(channels=[4, 4], blocks=[1, 1], weights='ternary')
    packed = packed_state(net.state_dict(), net)
    other = SpikerIR(channels=[4, 4], blocks=[1, 1], weights='ternary')
    load_weights(other, saved({f'module._orig_mod.{name}': value for name, value in packed.items()}))
    picture = torch.rand(1, 3, 16, 16)
    assert torch.equal(deployed(other)(picture), deployed(net)(picture))


def test_one_layer_under_two_names_is_refused(net, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match='holds one layer under several names'):
        load_weights(net, saved({**weights, **{f'module.{name}': value for name, value in weights.items()}}))


def quantised(tensor: Tensor) -> Tensor:
    return torch.quantize_per_tensor(tensor, 0.01, 0, torch.qint32)


@pytest.mark.parametrize(('convert', 'close'), [
    (Tensor.half, 1e-3), (Tensor.bfloat16, 1e-2), (Tensor.double, 0), (Tensor.to_sparse, 0), (quantised, 0.006),
    (nn.Parameter, 0)], ids=['half', 'bfloat16', 'double', 'sparse', 'quantised', 'parameter'])
def test_kinds_that_hold_the_same_numbers_are_loaded(net, weights, convert, close, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load_weights(net, saved({name: convert(value) for name, value in weights.items()}))
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, weights[name], atol=close, rtol=0)


@pytest.mark.parametrize(('convert', 'sentence'), [
    (lambda tensor: (127 * tensor).to(torch.int8), 'holds model.0.weight as int8, but the network has float32 there'),
    (lambda tensor: tensor > 0, 'as bool, but'), (lambda tensor: tensor.to(torch.complex64), 'as complex64, but'),
    (lambda tensor: tensor.to('meta'), r'model.0.weight without its numbers \(a meta tensor\)'),
    (lambda tensor: torch.nested.nested_tensor([tensor, tensor[:1]]), r'of several shapes \(a nested tensor\)'),
], ids=['int8', 'bool', 'complex', 'meta', 'nested'])
@pytest.mark.parametrize('strict', [True, False])
def test_kinds_of_other_numbers_are_refused(net, weights, convert, sentence, strict, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=sentence):
        load_weights(net, saved({name: convert(value) for name, value in weights.items()}), strict=strict)


def test_a_view_that_pretends_a_huge_size_is_a_wrong_shape(net, weights, tmp_path, monkeypatch):
    """One number, said to be there 10^12 times, takes no memory before somebody copies it."""
    monkeypatch.chdir(tmp_path)
    huge: Callable[[Tensor], Tensor] = lambda tensor: tensor.flatten()[:1].expand(10 ** 12)  # noqa: E731
    sparse = torch.sparse_coo_tensor(torch.zeros(1, 1, dtype=torch.long), torch.ones(1), (10 ** 12,))
    for value in (huge(weights['model.0.weight']), sparse):
        with pytest.raises(UserError, match=r'model\.0\.weight is \(1000000000000,\) instead of'):
            load_weights(net, saved({**weights, 'model.0.weight': value}))
