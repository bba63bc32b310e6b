"""The command: verbs, exit status, what it says to a mistake, and the inventory."""
from __future__ import annotations

import json
import runpy
import sys

import pytest
from basicsr.utils.registry import ARCH_REGISTRY

import basicsr_snn
from basicsr_snn import zoo
from basicsr_snn.cli import main as command
from basicsr_snn.cli.main import VERBS, main
from basicsr_snn.errors import UserError


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['--version'])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f'basicsr-snn {basicsr_snn.__version__}\n'


def test_help_names_every_verb(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['--help'])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert all(f'    {verb} ' in shown for verb in VERBS)


@pytest.mark.parametrize('verb', VERBS)
def test_help_of_every_verb(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([verb, '--help'])
    assert stop.value.code == 0
    assert f'usage: basicsr-snn {verb} ' in capsys.readouterr().out


@pytest.mark.parametrize(('argv', 'sentence'), [
    (['denoize'], 'there is no verb "denoize"; did you mean denoise?'),
    ([], 'the following arguments are required: VERB; all options: basicsr-snn --help.'),
    (['train'], 'the following arguments are required: -opt; all options: basicsr-snn train --help.'),
    (['list', '--jsn'], 'unrecognized arguments: --jsn; all options: basicsr-snn list --help.'),
    (['denoise', '-i', 'a', '-o', 'b', '--sigmas', '3'], '--sigmas 3; all options: basicsr-snn denoise --help.'),
    (['check', '-opt', 'a.yml', 'b.yml'], 'b.yml; all options: basicsr-snn check --help.'),
    (['--verbose', 'list'], '--verbose; all options: basicsr-snn list --help.'),
    (['bench', '--views', '3'], 'all options: basicsr-snn bench --help.'),
    (['list', '--js'], 'unrecognized arguments: --js'),
])
def test_mistakes_are_one_sentence_and_status_2(argv, sentence, capsys):
    assert main(argv) == 2
    caught = capsys.readouterr()
    assert caught.out == ''
    assert caught.err.startswith('basicsr-snn: ')
    assert caught.err.count('\n') == 1
    assert sentence in caught.err


@pytest.mark.parametrize('verb', ['train', 'test', 'check', 'denoise', 'bench', 'report'])
def test_missing_option_file_offers_the_nearest(verb, tmp_path, capsys):
    (tmp_path / 'demo.yml').touch()
    paths = {'denoise': ['-i', str(tmp_path), '-o', str(tmp_path)], 'report': ['-o', str(tmp_path)]}.get(verb, [])
    assert main([verb, '-opt', str(tmp_path / 'dem.yml'), *paths]) == 2
    error = capsys.readouterr().err
    assert 'dem.yml does not exist' in error
    assert 'did you mean demo.yml' in error


@pytest.mark.parametrize(('verb', 'function'), [('train', 'run_training'), ('test', 'run_test')])
def test_pipelines_get_basicsr_arguments(verb, function, tmp_path, monkeypatch):
    options = tmp_path / 'x.yml'
    options.touch()
    received = []
    monkeypatch.setattr(f'basicsr_snn.pipeline.run.{function}', lambda argv, *_: received.append(argv))
    assert main([verb, '-opt', str(options)]) == 0
    assert main([verb, '-opt', str(options), '--auto_resume', '--debug', '--launcher', 'pytorch',
                 '--force_yml', 'train:total_iter=3', 'name=y']) == 0
    assert received == [
        ['-opt', str(options), '--launcher', 'none'],
        ['-opt', str(options), '--launcher', 'pytorch', '--auto_resume', '--debug',
         '--force_yml', 'train:total_iter=3', 'name=y'],
    ]


def test_user_error_of_a_pipeline_has_no_traceback(tmp_path, monkeypatch, capsys):
    def refuse(argv):
        raise UserError('dataroot_gt is missing; write dataroot_gt: datasets/demo.')

    monkeypatch.setattr('basicsr_snn.pipeline.run.run_training', refuse)
    (tmp_path / 'x.yml').touch()
    assert main(['train', '-opt', str(tmp_path / 'x.yml')]) == 2
    assert capsys.readouterr().err == 'basicsr-snn: dataroot_gt is missing; write dataroot_gt: datasets/demo.\n'


def test_other_errors_keep_their_traceback(tmp_path, monkeypatch):
    def fail(argv):
        raise ZeroDivisionError

    monkeypatch.setattr('basicsr_snn.pipeline.run.run_training', fail)
    (tmp_path / 'x.yml').touch()
    with pytest.raises(ZeroDivisionError):
        main(['train', '-opt', str(tmp_path / 'x.yml')])


def test_python_m_runs_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['basicsr_snn', 'nonsense'])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module('basicsr_snn', run_name='__main__')
    assert stop.value.code == 2
    assert 'there is no verb "nonsense"' in capsys.readouterr().err


def test_json_inventory(capsys):
    assert main(['list', '--json']) == 0
    content = json.loads(capsys.readouterr().out)
    networks = {network['name']: network for network in content['networks']}
    assert list(networks) == [row.name for row in zoo.rows()]
    # 13 * 96 * 9 + 96, ten of 96 * 96 * 9 + 96, 96 * 12 * 9 + 12
    assert networks['ffdnet_color']['params'] == 11_328 + 10 * 83_040 + 10_380
    # 3 * 64 * 9 + 64, eighteen of 64 * 64 * 9 + 64, 64 * 3 * 9 + 3
    assert networks['dncnn_color_blind']['params'] == 1_792 + 18 * 36_928 + 1_731
    assert networks['ffdnet_color']['sha256'].startswith('286f04f7e3a20254')
    assert networks['ffdnet_color']['T'] is None
    for network in networks.values():
        assert {'name', 'role', 'params', 'T', 'D', 'neuron', 'task', 'file', 'sha256'} <= set(network)
    assert {'DnCNN', 'ESDNet', 'FFDNet', 'SpikerIR'} <= set(content['archs'])
    assert 'EDSR' in ARCH_REGISTRY
    assert 'EDSR' not in content['archs']
    assert {'SNNModel', 'ANNSNNDistillModel'} <= set(content['models'])
    assert 'GaussianDenoisingDataset' in content['datasets']
    assert 'FeatureHintLoss' in content['losses']
    assert {'SignedILIF', 'relu'} <= set(content['neurons'])


def test_table_shows_every_network_on_one_line(capsys):
    assert main(['list']) == 0
    lines = capsys.readouterr().out.splitlines()
    for row in zoo.rows():
        assert any(row.name in line and row.sha256[:8] in line and row.file in line for line in lines)
    assert any(line.startswith('neurons: SignedILIF') for line in lines)


def test_verbs_are_parsed_without_the_modules_of_the_others(monkeypatch):
    asked = []
    find = command._verb
    monkeypatch.setattr(command, '_verb', lambda name: asked.append(name) or find(name))
    assert main(['list', '--wrong']) == 2
    assert asked == ['list']
