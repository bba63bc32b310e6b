"""One weight file in every command: alone, where it says which network it is of, and with an option file."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from trainings import read_csv

from basicsr_snn import zoo
from basicsr_snn.cli.main import main
from basicsr_snn.weight_files.card import Card

NETWORK = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'neuron': {'type': 'SignedILIF', 'D': 16}}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Current folder with a picture in clean/, net.pth with two entries and a card, option files with and without
    ``network_g``."""
    monkeypatch.chdir(tmp_path)
    Path('clean').mkdir()
    noise = np.random.RandomState(0).randint(0, 256, (16, 20, 3), dtype=np.uint8)
    cv2.imwrite('clean/a.png', cv2.GaussianBlur(noise, (0, 0), 3))
    torch.manual_seed(0)
    entries = {key: zoo.build(NETWORK).state_dict() for key in ('params', 'params_ema')}
    torch.save({**entries, **Card(NETWORK, 25, licence='CC0').entries()}, 'net.pth')
    torch.save({'state_dict': {f'_orig_mod.{name}': value for name, value in entries['params'].items()}}, 'other.pth')
    options = {'name': 't', 'model_type': 'SNNModel', 'num_gpu': 'auto', 'manual_seed': 0,
               'datasets': {'test_1': {'name': 'own', 'type': 'GaussianDenoisingDataset', 'dataroot_gt': 'clean',
                                       'sigma': 25}},
               'path': {}, 'val': {'save_img': True, 'suffix': None, 'energy': 0}}
    blocks = {'without': {}, 'with': {'network_g': NETWORK}, 'deep': {'network_g': {**NETWORK, 'T': 2}}}
    for name, block in blocks.items():
        Path(f'{name}.yml').write_text(yaml.safe_dump({**options, **block}))
    return tmp_path


def denoised(*arguments: str) -> np.ndarray:
    assert main(['denoise', '-i', 'clean', '-o', 'out', '--overwrite', *arguments]) == 0
    return cv2.imread('out/a.png')


@pytest.mark.parametrize('named', ['-n', '--weights'])
def test_a_file_alone_is_enough_everywhere(folder, capsys, named):
    for command in (['denoise', '-i', 'clean', '-o', 'out', named], ['test', '-opt', 'without.yml', named],
                    ['bench', '-i', 'clean', '--noise', '25', '--no-cache', named],
                    ['export', '--format', 'safetensors', '-o', 'net.safetensors', named]):
        assert main([*command, 'net.pth']) == 0, command
        assert 'Loading entry params_ema of net.pth into SpikerIR (it also has params).' in capsys.readouterr().err
    assert np.array_equal(denoised('-n', 'net.safetensors'), denoised('-n', 'net.pth'))
    from basicsr_snn.zoo.weights import read_card

    assert read_card('net.safetensors')[0] == read_card('net.pth')[0]


def test_what_is_wrong_with_weights_is_told_before_results_that_exist(folder, capsys):
    denoised('-n', 'net.pth')
    torch.save({'epoch': 5}, 'nothing.pth')
    for weights, told in (('nothing.pth', 'basicsr-snn: nothing.pth '), ('net.pth', 'basicsr-snn: out/a.png exists;')):
        assert main(['denoise', '-i', 'clean', '-o', 'out', '-opt', 'with.yml', '--weights', weights]) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith(told)


@pytest.mark.slow
def test_a_report_of_a_file_alone(folder, capsys):
    assert main(['report', '-n', 'net.pth', '-i', 'clean', '--noise', '25', '-o', 'page']) == 0
    assert 'Loading entry params_ema of net.pth' in capsys.readouterr().err
    assert Path('page/net.html').is_file()


@pytest.mark.parametrize(('path', 'like'), [
    ({}, 'params'), ({'param_key_g': 'params_ema'}, 'params_ema'), ({'param_key_g': None}, 'params_ema'),
    ({'param_key_g': 'absent'}, 'params_ema')])
def test_the_entry_is_the_same_for_the_option_and_the_argument(folder, path, like):
    content = torch.load('net.pth', weights_only=True)
    torch.save({'params': content[like], 'network_g': NETWORK}, 'like.pth')
    options = {**yaml.safe_load(Path('with.yml').read_text()), 'path': path}
    Path('a.yml').write_text(yaml.safe_dump(options))
    Path('b.yml').write_text(yaml.safe_dump({**options, 'path': {**path, 'pretrain_network_g': 'net.pth'}}))
    expected = denoised('-n', 'like.pth')
    assert np.array_equal(denoised('-opt', 'a.yml', '--weights', 'net.pth'), expected)
    assert np.array_equal(denoised('-opt', 'b.yml'), expected)
    for number, arguments in enumerate((['-opt', 'a.yml', '--weights', 'net.pth'], ['-opt', 'b.yml'])):
        assert main(['test', *arguments, '--force_yml', f'name=t{number}']) == 0
    first, second = (cv2.imread(f'results/t{number}/visualization/own/a_t{number}.png') for number in range(2))
    assert np.array_equal(first, second)


def test_weights_of_another_project_in_every_command_with_an_option_file(folder, capsys):
    for command in (['denoise', '-i', 'clean', '-o', 'out'], ['test'], ['export', '--format', 'safetensors', '-o',
                                                                        'other.safetensors']):
        assert main([*command, '-opt', 'with.yml', '--weights', 'other.pth']) == 0
        assert 'Loading entry state_dict of other.pth' in capsys.readouterr().err


@pytest.mark.parametrize('command', [['denoise', '-i', 'clean', '-o', 'out'], ['test'],
                                     ['report', '-o', 'page'], ['export', '--format', 'onnx', '-o', 'a.onnx']])
def test_another_network_is_refused_by_every_command_unless_told_otherwise(folder, capsys, command):
    assert main([*command, '-opt', 'deep.yml', '--weights', 'net.pth']) == 2
    error = capsys.readouterr().err
    assert 'net.pth is of another network: T is 2 here and 1 in the file; write network_g: {"type": "SpikerIR"' in error
    assert 'Traceback' not in error


def test_strict_load_g_holds_for_the_argument(folder, capsys):
    options = yaml.safe_load(Path('deep.yml').read_text())
    Path('lax.yml').write_text(yaml.safe_dump({**options, 'path': {'strict_load_g': False}}))
    denoised('-opt', 'lax.yml', '--weights', 'net.pth')
    assert 'T is 2 here and 1 in the file; loaded all the same' in capsys.readouterr().err


@pytest.mark.parametrize(('arguments', 'sentence'), [
    (['denoise', '-i', 'clean', '-o', 'out', '--weights', 'other.pth'],
     '--weights other.pth was given without -opt, but other.pth does not say which network it is of'),
    (['denoise', '-i', 'clean', '-o', 'out', '-n', 'other.pth'], 'other.pth does not say which network it is of'),
    (['denoise', '-i', 'clean', '-o', 'out', '-n', 'net', '--weights', 'net.pth'], 'was given beside -n net'),
    (['bench', '-opt', 'with.yml', '--weights', 'gone.pth'], 'weight file gone.pth does not exist'),
    (['bench', '-n', 'nett.pth', '-i', 'clean', '--noise', '25'], 'nett.pth does not exist; did you mean net.pth'),
    (['test', '-opt', 'without.yml', '--weights', 'other.pth'], 'other.pth does not say which network it is of'),
    (['test', '-opt', 'without.yml', '-n', 'net.pth', '--weights', 'net.pth'], 'not allowed with argument'),
    (['export', '-n', 'clean/a.png', '--format', 'onnx', '-o', 'a.onnx'], 'clean/a.png is not a weight file'),
])
def test_mistakes_are_one_sentence_and_status_2(folder, capsys, arguments, sentence):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert 'Traceback' not in error


@pytest.mark.parametrize(('given', 'rows'), [
    (['-opt', 'with.yml', '--weights', 'other.pth'], ['other']),  # its network is that of the option file
    (['-opt', 'with.yml', '--weights', 'net.pth'], ['t', 'net']),  # says which network it is of
    (['-opt', 'with.yml', '--weights', 'net.pth', 'other.pth'], ['net', 'other']),
    (['-opt', 'named.yml', '--weights', 'other.pth'], ['t', 'other']),
])
def test_bench_gives_weights_to_the_network_of_the_option_file(folder, capsys, given, rows):
    options = yaml.safe_load(Path('with.yml').read_text())
    Path('named.yml').write_text(yaml.safe_dump({**options, 'path': {'pretrain_network_g': 'net.pth'}}))
    assert main(['bench', *given, '--no-cache', '--csv', 'table.csv']) == 0
    table = read_csv(Path('table.csv'))
    assert [row['name'] for row in table] == rows
    assert [bool(row['psnr']) for row in table] == [row != 't' or 'named.yml' in given for row in rows]
    assert ('t is untrained' in capsys.readouterr().err) == (rows[0] == 't' and 'with.yml' in given)


def test_check_takes_weights_as_the_other_commands_do(folder, capsys):
    assert main(['check', '-opt', 'with.yml']) == 0
    assert 'weights' in (shown := capsys.readouterr().out)
    assert 'none: the network is untrained' in shown
    for arguments in (['-opt', 'with.yml', '--weights', 'net.pth'], ['-opt', 'without.yml', '-n', 'net.pth']):
        assert main(['check', *arguments]) == 0
        assert 'untrained' not in capsys.readouterr().out
    assert main(['check', '-opt', 'deep.yml', '--weights', 'net.pth']) == 2
    assert 'net.pth is of another network' in capsys.readouterr().err
