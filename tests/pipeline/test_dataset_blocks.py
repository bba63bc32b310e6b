"""Blocks of datasets, those in the ``sets`` of a MixedDataset too: mistakes are named, and the schema knows them."""
from __future__ import annotations

import copy
import inspect
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from trainings import log_of, set_values, train, training, write

from basicsr_snn.cli.main import main
from basicsr_snn.data.camera_noise import KINDS, CameraNoise
from basicsr_snn.data.jpeg_dataset import QUALITY, SUBSAMPLING
from basicsr_snn.data.motion_blur_dataset import MotionBlur
from basicsr_snn.data.rain_streaks_dataset import Rain
from basicsr_snn.data.real_pairs_dataset import MARKS
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline.option_blocks.built import block_of, known
from basicsr_snn.pipeline.option_blocks.datasets import FOR_THE_LOADER, Kinds
from basicsr_snn.pipeline.option_checks import check_options
from basicsr_snn.pipeline.option_files import read_options

REPOSITORY = Path(__file__).resolve().parents[2]
COLORREAL = REPOSITORY / 'options/train/SpikerIR/colorreal.yml'
SCHEMA = json.loads((REPOSITORY / 'docs/reference/options.schema.json').read_text(encoding='utf-8'))
PAIRS = {'type': 'PairedImageDataset', 'dataroot_gt': 'a', 'dataroot_lq': 'b', 'io_backend': {'type': 'disk'}}
NESTED = {'type': 'MixedDataset', 'sets': [{'type': 'CameraNoiseDataset', 'dataroot_gt': 'a', 'cach': True}]}


def changed(changes: dict[str, Any]) -> dict:
    """The options of colorreal.yml with other values; keys begin at ``datasets: train``."""
    options = copy.deepcopy(read_options(COLORREAL))
    set_values(options['datasets']['train'], changes, '.')
    return options


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'sets.0.jpeg_qualiy': [75, 90]}, 'sets: 0 has an unknown key "jpeg_qualiy"; did you mean jpeg_quality'),
    ({'sets.0.shar': 1}, 'sets: 0 has an unknown key "shar"; did you mean share'),
    ({'sets.0.type': 'CameraNoisDataset'}, 'sets: 0: type is "CameraNoisDataset", .* did you mean CameraNoiseDataset'),
    ({'sets.0': {'dataroot_gt': 'a'}}, 'sets: 0 must be a block with a `type:`'),
    ({'sets.0.kinds': {'camra': 1}}, 'sets: 0: kinds has an unknown key "camra"; did you mean camera'),
    ({'sets.0.kinds': {'camera': -1}}, 'kinds: camera is -1, but must be a number of at least 0'),
    ({'sets.0.share': 'much'}, "sets: 0: share is 'much', but must be a number of at least 0; write share: 1"),
    ({'sets.1.jpeg_quality': [0, 2]}, r'jpeg_quality is \[0, 2\], .* 1 to 100 .*; write jpeg_quality: \[75, 100\]'),
    ({'sets.1.shot_noise': 0.1}, 'sets: 1: shot_noise is 0.1, but must be a list of two numbers'),
    ({'sets.1.sigma': 25}, 'sets: 1 has "sigma", which stands in a GaussianDenoisingDataset; here it is `shot_noise`'),
    ({'sets.0': {'type': 'RainStreaksDataset', 'dataroot_gt': 'a', 'lenght': [1, 2]}},
     'sets: 0 has an unknown key "lenght"; did you mean length'),
    ({'sets.0': {'type': 'JPEGDataset', 'dataroot_gt': 'a', 'quality': 10}},
     r'sets: 0: quality is 10, but must be a list of two numbers from 1 to 100 .*; write quality: \[10, 40\]'),
    ({'sets.0': {'type': 'JPEGDataset', 'dataroot_gt': 'a', 'subsampling': 411}},
     'sets: 0: subsampling is "411", which is not known; did you mean 420'),
    ({'sets.0': {'type': 'MotionBlurDataset', 'dataroot_gt': 'a', 'noise': [0, 256]}},
     r'sets: 0: noise is \[0, 256\], .* from 0 to 255'),
    ({'sets.2.gt_mark': 3}, 'sets: 2: gt_mark is 3, .*; write gt_mark: _mean'),
    ({'sets.2.dataroot_lq': 'a'}, "sets: 2 has \"dataroot_lq\", which stands in BasicSR's PairedImageDataset"),
    ({'sets.2.dataroot_gt': None}, 'sets: 2 lacks dataroot_gt'),
    ({'sets.2.gt_size': 64}, 'sets: 2 has "gt_size", which stands beside `sets:`, for all of them'),
    ({'sets.2.dataset_enlarge_ratio': 3}, 'stands beside `sets:`, for all of them; how often .* is its `share`'),
    ({'sets.0': {**PAIRS, 'filname_tmpl': 'x', 'use_hflip': True, 'use_rot': True}},
     'sets: 0 has an unknown key "filname_tmpl"; did you mean filename_tmpl'),
    ({'sets.0': NESTED}, 'sets: 0: sets: 0 has an unknown key "cach"; did you mean cache'),
    ({'gt_sze': 64}, ' has an unknown key "gt_sze"; did you mean gt_size'),
    ({'gt_size': None}, ' lacks gt_size'),
    ({'sets': {}}, 'sets is {}, but must be a list of blocks'),
])
def test_check_and_schema_refuse_the_same(changes, sentence):
    options = changed(changes)
    if 'PairedImageDataset' in str(changes):
        options['scale'] = 1
    with pytest.raises(UserError, match=f'^datasets: train.*{sentence}') as error:
        check_options(options)
    assert len(str(error.value).splitlines()) == 1
    if changes not in ({'sets.0': {'dataroot_gt': 'a'}}, {'sets.0.type': 'CameraNoisDataset'}):  # may be a plugin's
        assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(options)


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'in_ch': 1}, '^network_g: in_ch is 3, but datasets: train has in_ch: 1; write in_ch: 1.$'),
    ({'sets.0': {**PAIRS, 'use_hflip': True}}, 'sets: 0 is a PairedImageDataset, which reads scale; add `scale: 1`'),
    ({'sets.0': {**PAIRS, 'use_hflip': True}}, 'sets: 0 lacks use_rot; add `use_rot:`'),
    ({'sets.0.repeat': 10**9}, 'train: sets: 0: repeat is 1000000000, but must be at most 100,000'),
    ({'sets.0.dataroot_gt': '~nobody-of-that-name/a'}, 'sets: 0: dataroot_gt is .* no such home folder'),
])
def test_what_a_schema_cannot_say_is_checked_in_sets_too(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        check_options(changed(changes))


def test_a_mixed_validation_is_refused():
    options = changed({})
    options['datasets']['val'] = {'name': 'v', 'type': 'MixedDataset', 'gt_size': 8, 'sets': [PAIRS]}
    options['scale'] = 1
    with pytest.raises(UserError, match='^datasets: val is a MixedDataset, which is for training; write a data set'):
        check_options(options)


@pytest.mark.parametrize('changes', [
    {'use_hflip': True, 'use_rot': True, 'sets.0': {**PAIRS, 'share': 3}},
    {'sets.0': {'type': 'SomebodysDataset', 'anything': 1}},
    {'sets.0.kinds': {'poisson': 1}, 'sets.0.jpeg_share': 0, 'sets.1.kinds': {'jpeg': 1}, 'sets.2.name': 'real'},
    {'sets.0.resize_range': [0.5, 1]}, {'sets.0': {**NESTED, 'sets': [PAIRS | {'use_hflip': True, 'use_rot': True}]}},
])
def test_what_is_right_passes_check_and_schema(changes):
    options = changed(changes)
    options['scale'] = 1
    if 'Somebodys' not in str(changes):
        check_options(options)
    jsonschema.Draft202012Validator(SCHEMA).validate(options)


def fields(block: type) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(block)}


def test_declared_defaults_and_keys_are_those_of_the_code():
    noise = CameraNoise()
    declared = fields(block_of('dataset', 'CameraNoiseDataset'))
    assert CameraNoise.from_opt({key: list(field.default) if isinstance(field.default, tuple) else field.default
                                 for key, field in declared.items() if key in vars(noise)}, 'a') == noise
    assert set(vars(noise)) <= set(declared)
    assert tuple(fields(Kinds)) == KINDS
    for name, ranges in (('RainStreaksDataset', vars(Rain())), ('MotionBlurDataset', vars(MotionBlur())),
                         ('JPEGDataset', {'quality': QUALITY, 'subsampling': SUBSAMPLING})):
        assert {key: fields(block_of('dataset', name))[key].default for key in ranges} == ranges
    pairs = fields(block_of('dataset', 'RealPairsDataset'))
    assert {key: pairs[key].default for key in MARKS} == MARKS


@pytest.mark.parametrize('name', ['CameraNoiseDataset', 'RainStreaksDataset', 'BorrowedRainDataset', 'JPEGDataset',
                                  'MotionBlurDataset', 'RealPairsDataset', 'MixedDataset'])
def test_keys_are_described_in_the_docstring_too(name):
    for key in set(fields(block_of('dataset', name))) - {*FOR_THE_LOADER, 'type', 'name'}:
        if not (name == 'MixedDataset' and key == 'io_backend'):
            assert f'``{key}' in inspect.getdoc(known('dataset')[name]), key


def photographs() -> dict:
    """A training of four steps on three kinds of sets at once."""
    options = training('mixed', scale=1)
    own = {'type': 'GaussianDenoisingDataset', 'dataroot_gt': 'pictures', 'sigma': 25}
    camera = {'type': 'CameraNoiseDataset', 'dataroot_gt': 'pictures'}
    stock = {**PAIRS, 'dataroot_gt': 'pictures', 'dataroot_lq': 'pictures', 'use_hflip': True, 'use_rot': True}
    options['datasets'] = {
        'train': {'name': 'photographs', 'type': 'MixedDataset', 'gt_size': 16, 'batch_size_per_gpu': 2,
                  'num_worker_per_gpu': 0, 'sets': [own, camera, stock]},
        'val': {**camera, 'name': 'V', 'subset': [0, 2]}}
    return options


def test_check_and_training_of_mixed_sets(work, capsys):
    options = photographs()
    assert main(['check', '-opt', write(options)]) == 0
    assert 'datasets: train  12 pictures' in capsys.readouterr().out
    train(options)
    assert 'iter:       4' in log_of('mixed')


def test_a_missing_folder_of_a_set_is_named(work, capsys):
    options = photographs()
    options['datasets']['train']['sets'][1]['dataroot_gt'] = 'picturs'
    assert main(['check', '-opt', write(options)]) == 2
    assert 'the folder picturs does not exist' in capsys.readouterr().err
