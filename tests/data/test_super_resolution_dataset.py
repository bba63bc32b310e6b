"""Sharp pictures and the same made smaller: by BasicSR's rule, at the same place, from the item's own seed."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from basicsr.utils.matlab_functions import imresize

from basicsr_snn.data.draws import Draw
from basicsr_snn.data.mixed_dataset import MixedDataset
from basicsr_snn.errors import UserError

TRAIN = {'name': 'tiny', 'type': 'SuperResolutionDataset', 'phase': 'train', 'scale': 2, 'gt_size': 16}
VAL = {'name': 'tiny', 'type': 'SuperResolutionDataset', 'phase': 'val', 'scale': 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures with odd sides."""
    (tmp_path / 'sharp').mkdir()
    for index in range(3):
        coarse = np.random.default_rng(index).random((9, 9, 3), dtype=np.float32)
        pixels = cv2.resize(coarse, (47, 53), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255
        cv2.imwrite(str(tmp_path / 'sharp' / f'{index}.png'), pixels.astype(np.uint8))
    return tmp_path / 'sharp'


def build(options: dict, folder: Path, **changes: object) -> torch.utils.data.Dataset:
    return build_dataset({**options, 'dataroot_gt': str(folder), **changes})


def smaller(gt: torch.Tensor, scale: int) -> torch.Tensor:
    """What BasicSR makes of it, in whole steps of 8 bits."""
    return imresize(gt, 1 / scale).clamp(0, 1).mul(255).round() / 255


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_whole_pictures_are_those_that_basicsr_would_make_smaller(folder: Path, scale: int) -> None:
    for item in build(VAL, folder, scale=scale):
        assert item['gt'].shape == (3, 53 // scale * scale, 47 // scale * scale)
        pixels = cv2.imread(item['gt_path'])[:53 // scale * scale, :47 // scale * scale, ::-1] / np.float32(255)
        assert torch.equal(item['gt'], torch.from_numpy(pixels.transpose(2, 0, 1).copy()))
        expected = smaller(item['gt'], scale)
        assert item['lq'].shape == expected.shape
        assert (item['lq'] - expected).abs().max() <= 1.01 / 255  # a half may be rounded either way
        assert (item['lq'] != expected).float().mean() < 0.01
        assert item['sigma'] == 0


@pytest.mark.parametrize('scale', [2, 4])
@pytest.mark.parametrize('cache', [True, False])
def test_crops_are_cut_out_of_a_larger_picture_at_the_same_place(folder: Path, scale: int, cache: bool) -> None:
    dataset = build(TRAIN, folder, scale=scale, cache=cache)
    for seed in range(6):
        item = dataset[Draw(seed % 3, seed)]
        assert item['gt'].shape == (3, 16, 16)
        assert item['lq'].shape == (3, 16 // scale, 16 // scale)
        mean = torch.nn.functional.avg_pool2d(item['gt'], scale)
        assert (item['lq'] - mean).abs().mean() < 0.03
        again = dataset[Draw(seed % 3, seed)]
        assert all(torch.equal(item[key], again[key]) for key in ('lq', 'gt', 'corner'))
    assert not torch.equal(dataset[Draw(0, 1)]['gt'], dataset[Draw(0, 2)]['gt'])


def test_a_crop_has_the_border_that_the_whole_small_picture_has_there(folder: Path) -> None:
    dataset = build(TRAIN, folder, use_hflip=False, use_rot=False)
    seen = 0
    for seed in range(40):
        item = dataset[Draw(0, seed)]
        top, left = (int(side) for side in item['corner'])
        if top % 2 or left % 2:
            continue
        seen += 1
        pixels = cv2.imread(item['gt_path'])[:52, :46, ::-1].astype(np.float32) / 255
        whole = smaller(torch.from_numpy(pixels.transpose(2, 0, 1).copy()), 2)
        first_row, first_column = top // 2 + 2, left // 2 + 2  # of the crop inside the one with its margin
        there = whole[:, first_row:first_row + 8, first_column:first_column + 8]
        assert (item['lq'] - there).abs().max() <= 1.01 / 255
    assert seen > 3


def test_pictures_as_small_as_a_crop_will_do(folder: Path) -> None:
    item = build(TRAIN, folder, gt_size=46)[Draw(1, 1)]
    assert (item['gt'].shape, item['lq'].shape) == ((3, 46, 46), (3, 23, 23))


def test_grey_pictures_and_a_mixture(folder: Path) -> None:
    assert build(VAL, folder, in_ch=1)[0]['lq'].shape == (1, 26, 23)
    mixed = MixedDataset({'name': 'mixed', 'phase': 'train', 'scale': 2, 'gt_size': 16, 'sets': [
        {'type': 'SuperResolutionDataset', 'dataroot_gt': str(folder)}]})
    assert mixed[Draw(0, 3)]['lq'].shape == (3, 8, 8)


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'scale': 1}, r'tiny: `scale: 1` given, a whole number of at least 2 is allowed: write for example `scale: 2` at'),
    ({'scale': None}, r'`scale: None` given'),
    ({'scale': 2.0}, r'`scale: 2.0` given'),
    ({'scale': True}, r'`scale: True` given'),
    ({'scale': 3}, r'`gt_size: 16` given, a multiple of scale: 3 is allowed: write `gt_size: 15`'),
    ({'gt_size': 60}, r'less than the crop of 60x60: write `gt_size: 47`'),
    ({'noise_seed': 'x', 'gt_size': 'many'}, r'`gt_size: many` given'),
])
def test_mistakes_are_named(folder: Path, changes: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        build(TRAIN, folder, **changes)


def test_a_picture_smaller_than_the_factor_is_named(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((3, 9, 3), np.uint8))
    with pytest.raises(UserError, match='a.png has 9x3 pixels, none of which is left at scale: 4'):
        build(VAL, tmp_path, scale=4)[0]
