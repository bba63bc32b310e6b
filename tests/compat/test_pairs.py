"""Pairs in two folders, read by BasicSR: what is wrong with them is named, and their order is that of their names."""
from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from basicsr.data import build_dataset
from trainings import training, write

from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError

PAIRS = {'name': 'P', 'type': 'PairedImageDataset', 'dataroot_gt': 'pictures', 'dataroot_lq': 'rainy',
         'io_backend': {'type': 'disk'}}
CROPS = {'gt_size': 16, 'use_hflip': True, 'use_rot': False}


@pytest.fixture
def rainy(work) -> Path:
    """The folder of the degraded pictures beside ``pictures``."""
    shutil.copytree('pictures', 'rainy')
    return work / 'rainy'


def dataset(**changes):
    return build_dataset({**PAIRS, 'phase': 'train', 'scale': 1, **CROPS, **changes})


def test_pairs_come_in_the_order_of_their_names(rainy):
    assert [Path(pair['gt_path']).name for pair in dataset().paths] == ['0.png', '1.png', '2.png', '3.png']


def test_names_may_differ_by_the_template(rainy):
    for file in list(rainy.iterdir()):
        file.rename(rainy / f'{file.stem}_rain.png')
    assert Path(dataset(filename_tmpl='{}_rain').paths[2]['lq_path']).name == '2_rain.png'


@pytest.mark.parametrize(('spoil', 'sentence'), [
    (lambda folder: (folder / '2.png').unlink(), 'pictures holds 2.png, but rainy holds no 2.png'),
    (lambda folder: (folder / '2.png').rename(folder / '2.jpg'), 'rainy holds no 2.png; it has 2.jpg'),
    (lambda folder: (folder / '2.png').rename(folder / 'rain-2.png'), 'rainy holds no 2.png; it has rain-2.png'),
    (lambda folder: (folder / 'notes.txt').write_text(''), 'rainy holds notes.txt, but pictures holds no picture'),
    (shutil.rmtree, 'dataroot_lq: the folder rainy does not exist'),
])
def test_a_picture_without_its_other_is_named(rainy, spoil, sentence):
    spoil(rainy)
    with pytest.raises(UserError, match=re.escape(sentence)):
        dataset()


@pytest.mark.parametrize('template', ['{name}', '{0}{1}', '{'])
def test_a_template_that_is_none_is_refused(rainy, template):
    with pytest.raises(UserError, match="filename_tmpl is '.*one place"):
        dataset(filename_tmpl=template)


def test_two_pictures_of_other_sizes_are_named(rainy):
    cv2.imwrite(str(rainy / '1.png'), np.zeros((30, 33, 3), np.uint8))
    with pytest.raises(UserError, match=r'pictures/1\.png and its degraded picture have 40x36 and 33x30 pixels'):
        dataset()[1]
    with pytest.raises(UserError, match='hold a crop of gt_size: 37; take the pair out, or write a smaller'):
        dataset(gt_size=37)[0]


@pytest.mark.parametrize('model', ['SNNModel', 'SRModel'])
def test_a_missing_scale_is_told_for_every_model(rainy, model, capsys):
    options = training('pairs', model_type=model)
    options['datasets']['train'] = {**PAIRS, **CROPS, 'batch_size_per_gpu': 2, 'num_worker_per_gpu': 0}
    if model == 'SRModel':
        for key in ('grad_clip', 'fft_opt'):
            del options['train'][key]
    assert main(['check', '-opt', write(options)]) == 2
    assert 'datasets: train is a PairedImageDataset, which reads scale; add `scale: 1`' in capsys.readouterr().err
    assert main(['check', '-opt', write({**options, 'scale': 1})]) == 0


@pytest.mark.parametrize('verb', ['check', 'train'])
def test_commands_end_with_the_sentence(rainy, verb, capsys):
    (rainy / '3.png').unlink()
    options = training('pairs', scale=1)
    options['datasets']['train'] = {**PAIRS, **CROPS, 'batch_size_per_gpu': 2, 'num_worker_per_gpu': 0}
    assert main([verb, '-opt', write(options)]) == 2
    assert 'pictures holds 3.png, but rainy holds no 3.png' in capsys.readouterr().err


def test_a_dataset_that_nobody_registered_is_told_how_it_gets_there():
    with pytest.raises(UserError, match=r'rain of type MyRain cannot be opened .*basicsr_snn import train_pipeline'):
        build_dataset({'name': 'rain', 'type': 'MyRain', 'phase': 'train'})
