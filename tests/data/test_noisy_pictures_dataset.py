"""Noisy pictures without a truth, alone and beside others."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from PIL import Image
from torch.utils.data import default_collate

from basicsr_snn.data.batch import Batch
from basicsr_snn.data.draws import Draw
from basicsr_snn.data.mixed_dataset import MixedDataset, each_set
from basicsr_snn.data.noisy_pictures_dataset import NoisyPicturesDataset
from basicsr_snn.errors import UserError
from basicsr_snn.images.noise_level import estimate_camera_noise
from basicsr_snn.models.validation_loop import has_truth, picture_paths

OPT = {'name': 'tiny', 'type': 'NoisyPicturesDataset'}
TRAIN = {**OPT, 'phase': 'train', 'gt_size': 8}
CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three noisy pictures, ``a_real.png`` and so on, each with its mean; the further the noisier."""
    root = tmp_path_factory.mktemp('pictures')
    rng = np.random.default_rng(0)
    for number, name in enumerate('abc'):
        clean = np.full((90, 94, 3), 90 + 20 * number)
        noisy = clean + rng.normal(0, 4 * 2**number, clean.shape)
        for mark, pixels in (('_mean', clean), ('_real', noisy)):
            Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)).save(root / f'{name}{mark}.png')
    return root


def build(options: dict, root: Path, **changes: object) -> NoisyPicturesDataset:
    return build_dataset({**options, 'dataroot_lq': str(root), **changes})


def mixed(root: Path, *sets: dict, **changes: object) -> MixedDataset:
    return build_dataset({'name': 'tiny', 'type': 'MixedDataset', 'phase': 'train', 'gt_size': 8, 'sets': list(sets),
                          **changes})


PAIRS = {'type': 'RealPairsDataset'}
NOISY = {'type': 'NoisyPicturesDataset', 'lq_mark': '_real'}


def with_root(root: Path, *blocks: dict) -> list[dict]:
    return [{**block, 'dataroot_lq' if block['type'] == 'NoisyPicturesDataset' else 'dataroot_gt': str(root)}
            for block in blocks]


def test_items_have_no_truth_and_tell_their_level(folder: Path) -> None:
    dataset = build({**OPT, 'phase': 'val'}, folder, lq_mark='_real')
    assert [Path(item['lq_path']).name for item in dataset] == ['a_real.png', 'b_real.png', 'c_real.png']
    for item in dataset:
        assert set(item) == {'lq', 'sigma', 'lq_path'}
        assert item['sigma'].dtype == torch.float32
    assert [round(item['sigma'].item() / 16) for item in dataset] == [1, 2, 4], 'four times what there is'
    assert not has_truth(dataset)
    assert picture_paths(dataset) == [item['lq_path'] for item in dataset]


def test_crops_know_the_level_of_their_whole_picture(folder: Path) -> None:
    dataset, whole = build(TRAIN, folder, lq_mark='_real'), build({**OPT, 'phase': 'val'}, folder, lq_mark='_real')
    for seed in range(6):
        item = dataset[Draw(seed % 3, seed)]
        assert set(item) == {'lq', 'sigma', 'lq_path', 'corner'}
        assert item['lq'].shape == (3, 8, 8)
        assert item['sigma'] == whole[seed % 3]['sigma']
    assert build(TRAIN, folder, level=12)[0]['sigma'] == 12
    assert len(build(TRAIN, folder)) == 6, 'all pictures without a mark'
    assert Path(build(TRAIN, folder, lq_mark='_real', subset=[1, 2])[0]['lq_path']).name == 'b_real.png'


def test_smoothed_noise_is_found_as_that_of_its_strength_that_is_not_smoothed() -> None:
    noise = np.random.default_rng(0).normal(0, 1 / 255, (203, 203, 3))
    smoothed = sum(noise[row:row + 201, column:column + 201] for row in range(3) for column in range(3)) / 3
    levels = [estimate_camera_noise(0.5 + 4 * one) for one in (noise, smoothed)]
    assert levels == pytest.approx([16, 16], rel=0.2)
    assert estimate_camera_noise(0.5 + 40 * noise) == 75, 'no network is told more'


def test_a_mixed_item_tells_whether_its_truth_is_known(folder: Path) -> None:
    dataset = mixed(folder, *with_root(folder, PAIRS, NOISY))
    items = [dataset[Draw(0, seed)] for seed in range(40)]
    assert {bool(item['has_truth']) for item in items} == {True, False}
    for item in items:
        assert set(item) == {'lq', 'gt', 'lq_path', 'gt_path', 'sigma', 'corner', 'has_truth'}
        assert torch.isfinite(item['gt']).all() == item['has_truth']
        assert bool(item['gt_path']) == bool(item['has_truth'])
    assert 'has_truth' not in mixed(folder, *with_root(folder, PAIRS))[0]
    inner = {'type': 'MixedDataset', 'sets': with_root(folder, PAIRS, NOISY)}
    outer = mixed(folder, inner, *with_root(folder, PAIRS))
    assert {bool(outer[Draw(0, seed)]['has_truth']) for seed in range(40)} == {True, False}


def test_pictures_without_truth_have_no_part_in_losses_and_others_weigh_what_they_weigh(folder: Path) -> None:
    dataset = mixed(folder, *with_root(folder, PAIRS, NOISY))
    items = [dataset[Draw(0, seed)] for seed in range(8)]
    batch = Batch.of_item(default_collate(items), CPU)
    steps = 3
    made = torch.rand(steps * len(items), 3, 8, 8, requires_grad=True)
    (made - batch.truth_for(made)).abs().mean().backward()
    assert made.grad is not None
    for place, gradient in enumerate(made.grad.abs().amax((1, 2, 3))):
        wanted = 1 / made.numel() if items[place % len(items)]['has_truth'] else 0
        assert gradient.item() == pytest.approx(wanted)
    for part, rows in zip(batch.split(4), torch.arange(8).chunk(4), strict=True):
        known = batch.known[rows]
        torch.testing.assert_close(part.truth_for(part.lq)[known], batch.gt[rows][known])
        assert torch.equal(part.truth_for(part.lq)[~known], part.lq[~known])


def test_a_batch_without_any_truth_is_compared_with_itself(folder: Path) -> None:
    batch = Batch.of_item(default_collate([build(TRAIN, folder)[0]]), CPU)
    assert batch.gt is None
    assert torch.equal(batch.truth_for(batch.lq), batch.lq)
    with pytest.raises(UserError, match='nothing else teaches what they show; write model_type: ANNSNNDistillModel'):
        batch.require_truth()


def test_the_sets_of_a_mixed_set_have_what_stands_beside_them(folder: Path) -> None:
    inner = {'type': 'MixedDataset', 'sets': [{'type': 'A', 'use_rot': True}, 'no block']}
    found = dict(each_set('train', {'type': 'MixedDataset', 'gt_size': 8, 'use_rot': False, 'sets': [inner]}))
    assert list(found) == ['train', 'train: sets: 0', 'train: sets: 0: sets: 0']
    assert found['train: sets: 0: sets: 0'] == {'type': 'A', 'gt_size': 8, 'use_rot': True}
    assert list(each_set('val', {'type': 'B', 'sets': [inner]})) == [('val', {'type': 'B', 'sets': [inner]})]


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'dataroot_lq': None}, 'tiny: `dataroot_lq` is missing: write the folder of noisy pictures, as in `dataroot_lq: '
                            'datasets/PolyU`'),
    ({'lq_mark': '_nosy'}, 'holds no pictures whose names end on _nosy; write lq_mark as its names have it'),
    ({'lq_mark': 3}, '`lq_mark: 3` given, what names end on is allowed'),
    ({'level': 'high'}, '`level: high` given, auto and numbers from 0 to 255 are allowed: write `level: 10`'),
    ({'level': -1}, '`level: -1` given'),
    ({'level': True}, '`level: True` given'),
    ({'lq_mark': '_real', 'subset': [0, 4]}, 'reaches beyond the 3 pictures'),
    ({'gt_size': 91}, 'less than the crop of 91x91'),
    ({'io_backend': {'type': 'lmdb'}}, 'does not fit `dataroot_lq: '),
])
def test_mistakes_are_named(folder: Path, changes: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        build(TRAIN, folder, **changes)
