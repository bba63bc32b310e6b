"""A run that is refused before it begins leaves the folder of an earlier one where it was."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trainings import TEACHER, distilling, training, write

from basicsr_snn import zoo
from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError

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


def test_a_training_without_its_pictures_keeps_the_last_experiment_and_its_curves(work, capsys):
    options = training()
    options['datasets']['train'].update(dataroot_gt='missing')
    curve = Path('tb_logger/tiny/curve')
    curve.parent.mkdir(parents=True)
    curve.touch()
    refused('train', options, 'experiments/tiny')
    assert 'missing' in capsys.readouterr().err
    assert curve.exists()


def test_a_training_that_fails_after_it_began_keeps_both(work, monkeypatch):
    Path('experiments/tiny').mkdir(parents=True)
    Path('experiments/tiny/left.txt').touch()
    monkeypatch.setattr('basicsr_snn.models.snn_model.SNNModel.optimize_parameters', failing)
    assert main(['train', '-opt', write(training())]) == 2
    assert len([entry for entry in Path('experiments').iterdir() if entry.is_dir()]) == 2
    assert list(Path('experiments/tiny').glob('*.log'))


def failing(*_args) -> None:
    raise UserError('a picture is broken.')
