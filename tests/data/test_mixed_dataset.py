"""Several training sets at once."""
from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from basicsr.data import build_dataset
from basicsr.utils.registry import DATASET_REGISTRY
from PIL import Image
from trainings import read_batches

from basicsr_snn.data.draws import Draw, DrawSampler, follow_draws
from basicsr_snn.data.mixed_dataset import MixedDataset
from basicsr_snn.errors import UserError

KINDS = ('gaussian', 'camera', 'pairs', 'stock', 'mixed')


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``dark`` and ``light`` of three pictures each, and ``pairs`` of three pairs."""
    root = tmp_path_factory.mktemp('sets')
    rng = np.random.default_rng(0)
    for folder, low in (('dark', 0), ('light', 128), ('pairs', 0)):
        (root / folder).mkdir()
        for index in range(3):
            pixels = rng.integers(low, low + 128, (20, 22, 3), np.uint8)
            for mark in ('_mean', '_real') if folder == 'pairs' else ('',):
                Image.fromarray(pixels).save(root / folder / f'{index}{mark}.png')
    return root


def block(root: Path, kind: str, **changes: object) -> dict:
    """A dataset block of a kind."""
    blocks = {
        'gaussian': {'type': 'GaussianDenoisingDataset', 'dataroot_gt': f'{root}/dark', 'sigma_range': [0, 55]},
        'camera': {'type': 'CameraNoiseDataset', 'dataroot_gt': f'{root}/light', 'resize_range': [0.7, 1]},
        'pairs': {'type': 'RealPairsDataset', 'dataroot_gt': f'{root}/pairs'},
        'stock': {'type': 'PairedImageDataset', 'dataroot_gt': f'{root}/light', 'dataroot_lq': f'{root}/dark',
                  'io_backend': {'type': 'disk'}, 'use_hflip': True, 'use_rot': True},
    }
    blocks['mixed'] = {'type': 'MixedDataset', 'sets': [blocks[name] for name in ('gaussian', 'camera', 'stock')]}
    return {**blocks[kind], **changes}


def training(root: Path, kind: str, **changes: object) -> dict:
    return {'name': 'tiny', 'phase': 'train', 'scale': 1, 'gt_size': 12, **block(root, kind), **changes}


def mixed(root: Path, *blocks: object, **changes: object) -> MixedDataset:
    return build_dataset(training(root, 'mixed', sets=list(blocks), **changes))


def batches(root: Path, kind: str, epochs: tuple[int, ...] = (0, 1), rank: int = 0, world_size: int = 1, batch: int = 4,
            workers: int = 0, done: int = 0) -> list[dict]:
    """The batches of one process from BasicSR's loader, of a training that goes on after ``done`` iterations."""
    opt = {**training(root, kind), 'batch_size_per_gpu': batch, 'num_worker_per_gpu': workers}
    dataset = follow_draws(build_dataset(opt))  # as the training pipeline does
    sampler = DrawSampler(len(dataset), batch * world_size, 0, 24 / len(dataset), world_size, rank)
    if done:
        sampler.resume(0, done)
    return read_batches(dataset, opt, sampler, epochs)


def digest(batch: dict) -> tuple:
    return tuple((path, lq.numpy().tobytes(), gt.numpy().tobytes())
                 for path, lq, gt in zip(batch['lq_path'], batch['lq'], batch['gt'], strict=True))


@pytest.mark.parametrize('kind', KINDS)
def test_samples_hang_on_seed_epoch_and_place_only(root: Path, kind: str) -> None:
    """Not on workers, processes, a resume or what was drawn before."""
    whole = [digest(batch) for batch in batches(root, kind)]
    assert len(whole) == 12
    assert len({crop for batch in whole for crop in batch}) > 40, 'crops repeat'
    np.random.seed(5)
    torch.manual_seed(5)
    assert [digest(batch) for batch in batches(root, kind, workers=2)] == whole
    shares = [batches(root, kind, rank=rank, world_size=2, batch=2) for rank in range(2)]
    for batch, parts in zip(whole, zip(*shares, strict=True), strict=True):
        assert sorted(batch) == sorted(crop for part in parts for crop in digest(part))
    assert [digest(batch) for batch in batches(root, kind, done=4)] == whole[4:]


def test_sets_have_their_shares(root: Path) -> None:
    dataset = mixed(root, block(root, 'gaussian'), block(root, 'camera', share=2.5), block(root, 'pairs', share=0.5),
                    block(root, 'stock', share=0))
    assert len(dataset) == 12
    seen = Counter(Path(dataset[Draw(0, seed)]['lq_path']).parent.name for seed in range(1000))
    assert set(seen) == {'dark', 'light', 'pairs'}
    for folder, share in (('dark', 0.25), ('light', 0.625), ('pairs', 0.125)):
        assert seen[folder] / 1000 == pytest.approx(share, abs=0.05)


def test_every_picture_of_a_set_is_drawn(root: Path) -> None:
    dataset = mixed(root, block(root, 'pairs'))
    assert len({dataset[Draw(0, seed)]['lq_path'] for seed in range(60)}) == 3
    with pytest.raises(IndexError):
        dataset[3]


def test_items_of_all_sets_make_one_batch(root: Path) -> None:
    ours = [block(root, kind) for kind in ('gaussian', 'camera', 'pairs')]
    assert set(mixed(root, *ours)[0]) == {'lq', 'gt', 'lq_path', 'gt_path', 'sigma', 'corner'}
    assert set(mixed(root, *ours, block(root, 'stock'))[0]) == {'lq', 'gt', 'lq_path', 'gt_path'}
    grey = mixed(root, *ours, in_ch=1)
    assert {tuple(grey[Draw(0, seed)]['lq'].shape) for seed in range(20)} == {(1, 12, 12)}


def test_keys_beside_the_sets_are_for_all_and_a_block_has_the_last_word(root: Path) -> None:
    dataset = mixed(root, block(root, 'pairs'), block(root, 'camera', use_rot=True), use_hflip=False, use_rot=False)
    assert [(one.options.gt_size, one.options.use_hflip, one.options.use_rot) for one in dataset.sets] == [
        (12, False, False), (12, False, True)]


def test_home_folders_in_sets(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(root))
    stock = block(root, 'stock', dataroot_gt='~/light', dataroot_lq='~/dark')
    assert Path(mixed(root, stock)[0]['gt_path']).parent == root / 'light'


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'phase': 'val'}, 'tiny: MixedDataset is for training; write a validation dataset for each set'),
    ({'sets': None}, 'tiny: `sets: None` given, a list of dataset blocks is allowed'),
    ({'sets': []}, 'tiny: `sets: []` given'),
    ({'sets': ['dark']}, 'tiny: sets: 0 is no block with a `type`'),
    ({'sets': [{'type': 'CamerNoiseDataset'}]}, 'sets: 0 has `type: CamerNoiseDataset`, which is not known; did you '
                                                'mean CameraNoiseDataset'),
    ({'sets': [{'type': 'RealPairsDataset', 'share': -1}]}, 'sets: 0 has `share: -1`, a number of at least 0'),
    ({'sets': [{'type': 'RealPairsDataset', 'share': 0}]}, 'no set has a share above 0'),
    ({'sets': [{'type': 'RealPairsDataset', 'gt_size': 8}]}, 'sets: 0 has `gt_size`, which is the same for all sets'),
    ({'sets': [{'type': 'RealPairsDataset', 'dataroot_gt': 'nowhere'}]}, 'the folder nowhere does not exist'),
    ({'sets': [{'type': 'RealPairsDataset'}]}, 'tiny: sets: 0: `dataroot_gt` is missing'),
    ({'gt_size': 21}, 'tiny: sets: 0: '),
])
def test_mistakes_are_named(root: Path, changes: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        build_dataset(training(root, 'mixed', **changes))


def test_a_set_without_clean_pictures_is_named(root: Path) -> None:
    single = {'type': 'SingleImageDataset', 'dataroot_lq': f'{root}/dark', 'io_backend': {'type': 'disk'}}
    with pytest.raises(UserError, match='tiny: sets: 0 is a SingleImageDataset, which gives no clean pictures'):
        mixed(root, single)[0]


OURS = sorted(name for name, entry in DATASET_REGISTRY if entry.__module__.startswith('basicsr_snn'))


@pytest.mark.parametrize('name', OURS)
def test_yaml_of_the_docstring_builds(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in ('BSD432/a', 'PolyU/a_mean', 'PolyU/a_real', 'Rain100H_train15/rainy/a', 'Rain100H_train15/clean/a'):
        (tmp_path / 'datasets' / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((130, 130, 3), np.uint8)).save(tmp_path / 'datasets' / f'{file}.png')
    monkeypatch.chdir(tmp_path)
    written = yaml.safe_load(DATASET_REGISTRY.get(name).__doc__.split('.. code-block:: yaml')[1])
    opt, scale = written.get('datasets', written)['train'], written.get('scale', 1)
    assert opt['type'] == name
    side = opt['gt_size'] // scale
    assert build_dataset({**opt, 'phase': 'train', 'scale': scale})[0]['lq'].shape == (3, side, side)
