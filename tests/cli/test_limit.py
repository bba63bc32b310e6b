"""One number of megapixels for every command, in a test of small pictures a small one."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from basicsr.data import build_dataset
from PIL import Image
from trainings import training, write

from basicsr_snn.bench.evaluation_set import EvaluationSet, blocks_of_options
from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.images import limits

SMALL, LARGE = '0.001', '0.01'
"""Megapixels below and above those of the pictures."""

CLEAN = ['-i', 'pictures', '--noise', '25']
COMMANDS = {
    'denoise': ['denoise', '-i', 'pictures', '-o', 'out', '-n', 'spikerir_tiny_color25'],
    'copy': ['prepare', '-i', 'pictures', '-o', 'copied'],
    'link': ['prepare', '-i', 'pictures', '-o', 'linked', '--link'],
    'cut': ['prepare', '-i', 'pictures', '-o', 'cut', '--crop', '16'],
    'lmdb': ['prepare', '-i', 'pictures', '-o', 'made.lmdb', '--lmdb'],
    'bench': ['bench', '-n', 'spikerir_tiny_color25', *CLEAN],
}


@pytest.fixture
def limited(work, monkeypatch):
    """Pictures above the limit that the environment sets, and after the test the limit of before."""
    monkeypatch.setenv(limits.VARIABLE, SMALL)
    return work


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_refuses_and_can_be_told_to_allow(limited, capsys, command):
    assert main(COMMANDS[command]) == (1 if command == 'denoise' else 2)
    assert 'declares 40x36 pixels' in capsys.readouterr().err
    assert main([*COMMANDS[command], '--max_megapixels', LARGE]) == 0


@pytest.mark.parametrize('kind', ['disk', 'lmdb'])
@pytest.mark.parametrize('phase', ['train', 'val'])
def test_data_sets_refuse(limited, monkeypatch, kind, phase):
    assert main([*COMMANDS['lmdb'], '--max_megapixels', LARGE]) == 0
    monkeypatch.setenv(limits.VARIABLE, SMALL)
    block = {'name': 'x', 'type': 'GaussianDenoisingDataset', 'sigma': 25, 'phase': phase,
             'dataroot_gt': 'pictures' if kind == 'disk' else 'made.lmdb'}
    block |= {'gt_size': 8} if phase == 'train' else {}
    with pytest.raises(UserError, match='declares 40x36 pixels'):
        build_dataset(block)[0]


@pytest.mark.parametrize('model', ['SNNModel', 'SRModel'])
def test_an_option_file_may_allow_more(limited, monkeypatch, capsys, model):
    options = training(model_type=model)
    if model == 'SRModel':
        options['train'] = {key: value for key, value in options['train'].items()
                            if key not in ('grad_clip', 'fft_opt')}
        options['train']['optim_g'] = {'type': 'Adam', 'lr': 0.01}
    assert main(['check', '-opt', write(options)]) == 2
    assert 'declares 40x36 pixels' in capsys.readouterr().err
    assert main(['check', '-opt', write({**options, 'max_megapixels': float(LARGE)})]) == 0
    monkeypatch.setenv(limits.VARIABLE, SMALL)
    assert len(list(EvaluationSet(blocks_of_options('options.yml')))) == 4
    assert main(['check', '-opt', write({**options, 'max_megapixels': 5000})]) == 2
    assert 'max_megapixels' in capsys.readouterr().err


@pytest.mark.parametrize('number', ['0', '-1', 'nan', 'many', '5000'])
def test_the_number_is_checked(capsys, number):
    assert main(['denoise', '-i', 'x', '-o', 'out', '--max_megapixels', number]) == 2
    assert f"--max_megapixels is '{number}': a number of megapixels above 0" in capsys.readouterr().err


def test_an_lmdb_that_lists_other_sizes_is_named(work):
    assert main(COMMANDS['lmdb']) == 0
    listed = Path('made.lmdb/meta_info.txt')
    listed.write_text(listed.read_text().replace('(36,40,3)', '(36,41,3)', 1))
    with pytest.raises(UserError, match=r'0 of made\.lmdb has 40x36 pixels where its meta_info\.txt says 41x36'):
        build_dataset({'name': 'x', 'type': 'GaussianDenoisingDataset', 'sigma': 25, 'phase': 'val',
                       'dataroot_gt': 'made.lmdb'})[0]


def test_a_picture_that_shrinks_after_the_start_is_named(work):
    dataset = build_dataset({'name': 'x', 'type': 'GaussianDenoisingDataset', 'sigma': 25, 'phase': 'train',
                             'gt_size': 32, 'dataroot_gt': 'pictures', 'cache': False})
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save('pictures/0.png')
    with pytest.raises(UserError, match=r'x: pictures/0\.png has 9x9 pixels, less than the crop of 32x32'):
        dataset[0]
