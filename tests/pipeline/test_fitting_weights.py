"""Weights of another network are refused before the folder of an earlier run is put aside."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trainings import TEACHER, distilling, log_of, train, training, write

from basicsr_snn import zoo
from basicsr_snn.cli.main import main

WIDE = {'type': 'SpikerIR', 'channels': [8, 8], 'blocks': [1, 1], 'norm': 'bn'}


@pytest.fixture
def wide_weights(work) -> str:
    torch.save({'params': zoo.build(WIDE).state_dict()}, 'wide.pth')
    return 'wide.pth'


def refused(command: str, options: dict, folder: str, *arguments: str) -> None:
    """The command is refused, and what an earlier run left in the folder is where it was."""
    left = Path(folder, 'left.txt')
    left.parent.mkdir(parents=True)
    left.touch()
    assert main([command, '-opt', write(options), *arguments]) == 2
    assert left.exists()
    assert [entry for entry in left.parents[1].iterdir() if not entry.name.startswith('.')] == [left.parent]


def test_a_test_of_other_weights_keeps_the_results_of_the_last_one(wide_weights, capsys):
    options = training()
    del options['train'], options['datasets']['train']
    refused('test', {**options, 'path': {'pretrain_network_g': wide_weights}}, 'results/tiny')
    assert 'wide.pth does not fit the network SpikerIR' in capsys.readouterr().err


def test_a_training_from_other_weights_keeps_the_last_experiment(wide_weights, capsys):
    refused('train', training(path={'pretrain_network_g': wide_weights, 'resume_state': None}), 'experiments/tiny')
    assert 'wide.pth does not fit the network SpikerIR' in capsys.readouterr().err


def test_a_training_under_a_teacher_of_other_weights_keeps_the_last_experiment(work, capsys):
    torch.save(zoo.build({**TEACHER, 'nc': 4}).state_dict(), 'teacher.pth')
    refused('train', distilling(), 'experiments/distilled')
    assert 'teacher.pth does not fit the network DnCNN' in capsys.readouterr().err


def test_a_training_that_goes_on_needs_no_first_weights_that_fit(wide_weights):
    options = training()
    train(options)
    options['path']['pretrain_network_g'] = wide_weights
    options['train']['total_iter'] = 6
    train(options, '--auto_resume')
    assert Path('experiments/tiny/models/net_g_6.pth').exists()


def test_the_log_is_as_without_the_check(work):
    options = training()
    torch.save({'params': zoo.build(options['network_g']).state_dict()}, 'first.pth')
    options['path']['pretrain_network_g'] = 'first.pth'
    train(options)
    assert log_of('tiny').count('Loading entry params of first.pth') == 2  # for the network and its moving average
    assert log_of('tiny').count('l_pix') == 2


def test_the_first_weights_of_a_run_are_drawn_as_without_the_check(work, monkeypatch):
    train(training('with'))
    monkeypatch.setattr('basicsr_snn.pipeline.run.require_fitting_weights', lambda options: None)
    train(training('without'))
    one, other = (torch.load(f'experiments/{name}/models/net_g_2.pth')['params'] for name in ('with', 'without'))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
