"""Shipped networks and the loading of weight files."""
from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from basicsr_snn import load, zoo
from basicsr_snn.archs.dncnn_arch import DnCNN
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.errors import UserError
from basicsr_snn.inference.defaults import TASKS
from basicsr_snn.installation import find_weight_file
from basicsr_snn.zoo import shipped
from basicsr_snn.zoo.trained_network import TrainedNetwork
from basicsr_snn.zoo.weights import load_weights

NAMES = [row.name for row in zoo.rows()]


@pytest.fixture
def net() -> DnCNN:
    torch.manual_seed(0)
    return DnCNN(nc=4, nb=3)


@pytest.fixture
def other() -> DnCNN:
    torch.manual_seed(1)
    return DnCNN(nc=4, nb=3)


def assert_same_weights(net: nn.Module, expected: dict[str, torch.Tensor]) -> None:
    for name, value in net.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize('name', NAMES)
def test_every_row_describes_its_file(name):
    row = zoo.row(name)
    assert hashlib.sha256((zoo.FOLDER / row.file).read_bytes()).hexdigest() == row.sha256
    assert row.role in ('student', 'twin', 'teacher')
    assert (row.role == 'twin') == row.name.endswith('_twin')
    assert row.task
    assert row.licence
    assert row.source
    neuron = row.network.get('neuron', {}).get('type', 'SignedILIF') if row.network['type'] == 'SpikerIR' else 'relu'
    assert row.neuron == neuron


@pytest.mark.parametrize('name', NAMES)
def test_every_network_loads_and_answers_an_odd_size(name):
    net, network = load(name), zoo.row(name).network
    assert not net.training
    channels, scale = network.get('in_nc') or network.get('in_ch', 3), network.get('scale') or network.get('upscale', 1)
    assert net(torch.rand(1, channels, 13, 9)).shape == (1, channels, 13 * scale, 9 * scale)


def test_weight_files_have_one_row_each():
    files = {path.name for path in zoo.FOLDER.iterdir() if path.suffix in ('.pth', '.safetensors')}
    assert files == {row.file for row in zoo.rows()}
    assert {path.stem for path in zoo.FOLDER.glob('*.yml')} == set(NAMES)


def test_teachers_are_shipped_with_their_licence():
    assert {'ffdnet_color', 'dncnn_color_blind'} <= set(NAMES)
    text = (zoo.FOLDER / 'LICENSE-KAIR.txt').read_text(encoding='utf-8')
    assert 'Copyright (c) 2019 Kai Zhang' in text
    assert 'Permission is hereby granted, free of charge' in text


def test_default_is_the_student_for_channels_and_noise_once_it_is_shipped(monkeypatch):
    teacher = zoo.row('ffdnet_color')
    kinds = ('color25', 'colorblind', 'gray25', 'colorreal')
    students = [replace(teacher, name=f'spikerir_small_{kind}', noise=25 if kind.endswith('25') else [0, 55])
                for kind in kinds]
    monkeypatch.setattr(shipped, 'rows', lambda: (teacher,))
    assert zoo.default_name() == zoo.default_name(1, 25) == 'ffdnet_color'
    monkeypatch.setattr(shipped, 'rows', lambda: (*students, teacher))
    assert zoo.default_name() == zoo.default_name(1) == 'spikerir_small_colorreal'
    assert zoo.default_name(3, 10) == zoo.default_name(1, 5) == 'spikerir_small_colorblind'
    assert zoo.default_name(3, 30) == zoo.default_name(3, 75) == 'spikerir_small_color25', 'the highest that is there'
    assert zoo.default_name(3, 25.0) == 'spikerir_small_color25'
    assert zoo.default_name(1, 25) == 'spikerir_small_gray25'


@pytest.mark.parametrize('task', [task for task in TASKS if task != 'denoise'])
def test_every_other_task_has_a_small_student_and_its_twin(task):
    student = zoo.row(zoo.default_of_task(task))
    twin = zoo.row(f'{student.name}_twin')
    assert (student.name, student.does, twin.does) == (f'spikerir_small_{task}', task, task)
    assert student.training['steps'] == twin.training['steps']
    assert student.training['batch'] == twin.training['batch']


def test_a_student_is_added_by_its_two_files(tmp_path, monkeypatch):
    torch.manual_seed(0)
    net = SpikerIR(channels=[4, 8], blocks=[1, 1], norm='bn')
    torch.save({'params': net.state_dict()}, tmp_path / 'tiny.pth')
    checksum = hashlib.sha256((tmp_path / 'tiny.pth').read_bytes()).hexdigest()
    (tmp_path / 'tiny.yml').write_text(
        f'{{name: tiny, task: t, role: student, file: tiny.pth, sha256: {checksum}, '
        'network: {type: SpikerIR, channels: [4, 8], blocks: [1, 1], norm: bn}, neuron: SignedILIF, T: 1, D: 4, '
        'noise: 25, licence: Apache-2.0, source: here}')
    monkeypatch.setattr(shipped, 'FOLDER', tmp_path)
    zoo.rows.cache_clear()
    try:
        loaded = load('tiny')
    finally:
        monkeypatch.undo()
        zoo.rows.cache_clear()
    picture = torch.rand(1, 3, 10, 11)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in loaded.modules())  # folded
    with torch.no_grad():
        torch.testing.assert_close(loaded(picture), net.eval()(picture), atol=1e-5, rtol=0)


def test_unknown_name_offers_the_nearest():
    with pytest.raises(UserError, match='"ffdnet_colour"; did you mean ffdnet_color'):
        load('ffdnet_colour')


def test_changed_file_is_refused(monkeypatch):
    row = replace(zoo.row('ffdnet_color'), sha256='0' * 64)
    monkeypatch.setattr(shipped, 'rows', lambda: (row,))
    with pytest.raises(UserError, match='not the file that was shipped'):
        load('ffdnet_color')


@pytest.mark.parametrize(('network', 'sentence'), [
    ({'type': 'FFDnet'}, 'did you mean FFDNet'),
    ({'nc': 3}, 'network type "None" is not registered'),
    ({'type': 'FFDNet', 'width': 3}, 'cannot be built from the options'),
])
def test_network_that_cannot_be_built_is_named(network, sentence):
    with pytest.raises(UserError, match=sentence):
        zoo.build(network)


def test_plain_file_loads(net, other, tmp_path):
    torch.save(other.state_dict(), tmp_path / 'a.pth')
    load_weights(net, tmp_path / 'a.pth')
    assert_same_weights(net, other.state_dict())


def test_running_average_is_preferred_unless_a_key_is_given(net, other, tmp_path):
    own = {name: value.clone() for name, value in net.state_dict().items()}
    torch.save({'params': own, 'params_ema': other.state_dict()}, tmp_path / 'a.pth')
    load_weights(net, tmp_path / 'a.pth')
    assert_same_weights(net, other.state_dict())
    load_weights(net, tmp_path / 'a.pth', param_key='params')
    assert_same_weights(net, own)


def test_params_serve_where_there_is_no_running_average(net, other, tmp_path):
    torch.save({'params': other.state_dict()}, tmp_path / 'a.pth')
    load_weights(net, tmp_path / 'a.pth')
    assert_same_weights(net, other.state_dict())


def test_safetensors_load(net, other, tmp_path):
    save_file(other.state_dict(), tmp_path / 'a.safetensors')
    load_weights(net, tmp_path / 'a.safetensors')
    assert_same_weights(net, other.state_dict())


def test_prefix_of_distributed_training_is_stripped(net, other, tmp_path):
    torch.save({f'module.{name}': value for name, value in other.state_dict().items()}, tmp_path / 'a.pth')
    load_weights(net, tmp_path / 'a.pth')
    assert_same_weights(net, other.state_dict())


def test_own_part_called_module_keeps_its_name(tmp_path):
    wrapped = nn.ModuleDict({'module': nn.Linear(2, 2)})
    torch.save({'module.weight': torch.eye(2), 'module.bias': torch.ones(2)}, tmp_path / 'a.pth')
    load_weights(wrapped, tmp_path / 'a.pth')
    assert torch.equal(wrapped['module'].weight, torch.eye(2))


def test_missing_file_offers_the_nearest(net, tmp_path):
    torch.save({}, tmp_path / 'teacher.pth')
    with pytest.raises(UserError, match=r'teachers\.pth does not exist; did you mean teacher\.pth'):
        load_weights(net, tmp_path / 'teachers.pth')
    with pytest.raises(UserError, match='nowhere does not exist either'):
        load_weights(net, tmp_path / 'nowhere' / 'teacher.pth')


def test_missing_key_names_those_that_exist(net, tmp_path):
    torch.save({'params': net.state_dict()}, tmp_path / 'a.pth')
    with pytest.raises(UserError, match='no entry "params_ema": it has params; write param_key: params'):
        load_weights(net, tmp_path / 'a.pth', param_key='params_ema')
    torch.save(net.state_dict(), tmp_path / 'b.pth')
    with pytest.raises(UserError, match='no entry "params": it is a plain state dict; write param_key: ~'):
        load_weights(net, tmp_path / 'b.pth', param_key='params')


def test_first_three_wrong_shapes_and_the_network_are_named(net, tmp_path):
    torch.save(DnCNN(nc=5, nb=3).state_dict(), tmp_path / 'a.pth')
    with pytest.raises(UserError) as caught:
        load_weights(net, tmp_path / 'a.pth')
    message = str(caught.value)
    assert 'DnCNN' in message
    assert 'model.0.weight is (5, 3, 3, 3) instead of (4, 3, 3, 3), model.0.bias is (5,) instead of (4,)' in message
    assert 'model.2.weight is (5, 5, 3, 3) instead of (4, 4, 3, 3) and 2 more' in message


def test_missing_and_unknown_names_are_told_apart(net, tmp_path):
    weights = dict(net.state_dict(), extra=torch.ones(1))
    del weights['model.4.bias']
    torch.save(weights, tmp_path / 'a.pth')
    with pytest.raises(UserError, match=r'the file lacks model\.4\.bias; the network lacks extra'):
        load_weights(net, tmp_path / 'a.pth')


def test_without_strict_what_fits_is_loaded(net, other, tmp_path):
    weights = dict(other.state_dict(), **{'model.0.bias': torch.ones(9)})
    del weights['model.4.bias']
    torch.save(weights, tmp_path / 'a.pth')
    own = {name: value.clone() for name, value in net.state_dict().items()}
    load_weights(net, tmp_path / 'a.pth', strict=False)
    kept = {name: own[name] for name in ('model.0.bias', 'model.4.bias')}
    assert_same_weights(net, {**other.state_dict(), **kept})


def test_a_file_of_which_nothing_fits_is_refused_even_without_strict(net, tmp_path):
    torch.save({'other': torch.ones(1)}, tmp_path / 'a.pth')
    with pytest.raises(UserError, match='does not fit the network DnCNN'):
        load_weights(net, tmp_path / 'a.pth', strict=False)


class Malicious:
    def __reduce__(self):
        return Path.touch, (Path('executed'),)


def test_code_in_a_file_is_not_run(net, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({'params': Malicious()}, 'a.pth')
    with pytest.raises(UserError, match='cannot|not a weight file'):
        load_weights(net, 'a.pth')
    assert not Path('executed').exists()


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_damaged_file_is_refused(net, tmp_path, name):
    (tmp_path / name).write_bytes(b'no weights at all')
    with pytest.raises(UserError, match='is not a'):
        load_weights(net, tmp_path / name)


def test_truncated_file_is_refused(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / 'a.pth')
    content = (tmp_path / 'a.pth').read_bytes()
    (tmp_path / 'a.pth').write_bytes(content[:len(content) // 2])
    with pytest.raises(UserError, match='is not a weight file'):
        load_weights(net, tmp_path / 'a.pth')


@pytest.mark.parametrize('content', [{'params': {'epoch': 3}}, {'epoch': 3}, [1, 2]])
def test_file_without_tensors_is_refused(net, tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(UserError, match='holds no tensors|not named tensors'):
        load_weights(net, tmp_path / 'a.pth')


@pytest.mark.parametrize('there', [False, True])
def test_shipped_weights_are_found_from_any_folder(there, tmp_path, monkeypatch):
    named = Path('basicsr_snn/zoo/ffdnet_color.pth')
    monkeypatch.chdir(tmp_path)
    if there:
        named.parent.mkdir(parents=True)
        named.touch()
    assert find_weight_file(named) == (named if there else zoo.FOLDER / named.name)
    assert find_weight_file('other/ffdnet_color.pth') == Path('other/ffdnet_color.pth')


def test_networks_of_option_files_find_shipped_weights_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = TrainedNetwork('x', {'type': 'FFDNet', 'in_nc': 3, 'out_nc': 3, 'nc': 96, 'nb': 12},
                             Path('basicsr_snn/zoo/ffdnet_color.pth'))
    shipped = load('ffdnet_color').state_dict()
    assert_same_weights(network.loaded(), shipped)
    pretrained = zoo.build({'type': 'PretrainedANN', 'path': 'basicsr_snn/zoo/dncnn_color_blind.pth'})
    assert sum(p.numel() for p in pretrained.parameters()) == 668_227
