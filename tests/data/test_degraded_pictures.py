"""Clean pictures with rain, JPEG or motion blur made on the fly: what these datasets do alike, and each by itself."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from PIL import Image

from basicsr_snn.data.degraded_pictures import DegradedPictures
from basicsr_snn.data.draws import Draw, seeded_by
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import to_integers
from basicsr_snn.images.jpeg import stored_as_jpeg

KINDS = ('RainStreaksDataset', 'JPEGDataset', 'MotionBlurDataset')
of_each_kind = pytest.mark.parametrize('kind', KINDS)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three colour pictures of 96x80 pixels with edges."""
    root = tmp_path_factory.mktemp('pictures')
    rng = np.random.default_rng(0)
    for index in range(3):
        small = Image.fromarray(rng.integers(20, 200, (10, 12, 3), np.uint8))
        small.resize((96, 80), Image.Resampling.NEAREST).save(root / f'p{index}.png')
    return root


def build(kind: str, phase: str, root: Path, **changes: object) -> DegradedPictures:
    crop = {'gt_size': 32} if phase == 'train' else {}
    return build_dataset({'name': 'tiny', 'type': kind, 'phase': phase, 'dataroot_gt': str(root), **crop, **changes})


def as_bytes(picture: torch.Tensor) -> np.ndarray:
    return to_integers(picture.numpy().transpose(1, 2, 0))


@of_each_kind
@pytest.mark.parametrize('in_ch', [3, 1])
def test_an_item_holds_a_pair_of_8_bits_and_tells_its_difference(folder, kind, in_ch):
    for phase, sides in (('train', (32, 32)), ('val', (80, 96))):
        item = build(kind, phase, folder, in_ch=in_ch)[Draw(1, 7)]
        lq, gt = item['lq'], item['gt']
        assert lq.shape == gt.shape == (in_ch, *sides)
        assert lq.dtype == gt.dtype == item['sigma'].dtype == torch.float32
        torch.testing.assert_close(lq * 255, (lq * 255).round(), atol=1e-4, rtol=0)
        assert lq.min() >= 0
        assert lq.max() <= 1
        assert item['sigma'].item() == pytest.approx(255 * (lq - gt).square().mean().sqrt().item(), rel=1e-5)
        assert item['sigma'] > 0.5
        assert item['lq_path'] == item['gt_path'] == str(folder / 'p1.png')


@of_each_kind
def test_training_follows_the_seed_of_the_item_only(folder, kind):
    first, again = build(kind, 'train', folder), build(kind, 'train', folder, cache=False)
    item = first[Draw(0, 5)]
    np.random.seed(1)
    torch.manual_seed(1)
    first[Draw(2, 9)]
    for key, value in again[Draw(0, 5)].items():
        assert torch.equal(value, item[key]) if isinstance(value, torch.Tensor) else value == item[key]
    assert not torch.equal(first[Draw(0, 6)]['lq'], item['lq'])


@of_each_kind
def test_validation_is_the_same_each_time_and_each_picture_has_its_own(folder, kind, tmp_path):
    whole, part, other = build(kind, 'val', folder), build(kind, 'val', folder, subset=[1, 3]), build(
        kind, 'val', folder, noise_seed=1)
    before = torch.get_rng_state()
    assert torch.equal(whole[1]['lq'], part[0]['lq'])
    assert torch.equal(torch.get_rng_state(), before)
    assert any(not torch.equal(whole[index]['lq'], other[index]['lq']) for index in range(3))
    for index in range(3):
        Image.open(folder / 'p0.png').save(tmp_path / f'{index}.png')
    same = build(kind, 'val', tmp_path)
    assert len({item['lq'].numpy().tobytes() for item in same}) > 1


@of_each_kind
def test_a_crop_is_cut_from_what_the_degradation_makes_of_more_than_the_crop(folder, kind):
    """The clean part is that of the picture at the corner that the item tells."""
    dataset = build(kind, 'train', folder, use_hflip=False, use_rot=False)
    picture = np.asarray(Image.open(folder / 'p2.png'))
    for seed in range(5):
        item = dataset[Draw(2, seed)]
        top, left = item['corner'].tolist()
        np.testing.assert_array_equal(as_bytes(item['gt']), picture[top:top + 32, left:left + 32])


def test_a_crop_is_blurred_together_with_its_surroundings(folder):
    dataset = build('MotionBlurDataset', 'train', folder, use_hflip=False, use_rot=False, length=[4, 16], noise=[0, 0])
    assert dataset.margin == 9
    picture = np.asarray(Image.open(folder / 'p0.png'), np.float32) / 255
    for seed in range(10):
        draw = Draw(0, seed)
        item = dataset[draw]
        top, left = item['corner'].tolist()
        with seeded_by(draw):
            rng = np.random.default_rng(int(torch.randint(2**62, ())))
        whole = to_integers(dataset.degraded(picture, rng))
        np.testing.assert_allclose(as_bytes(item['lq']), whole[top:top + 32, left:left + 32], atol=1)


def test_a_crop_as_large_as_the_picture_is_blurred_with_mirrored_surroundings(folder):
    item = build('MotionBlurDataset', 'train', folder, gt_size=80, length=[40, 40])[Draw(0, 0)]
    assert item['lq'].shape == (3, 80, 80)


def test_rain_adds_the_same_light_to_all_colours(folder):
    for item in build('RainStreaksDataset', 'val', folder):
        light = item['lq'] - item['gt']
        assert light.min() >= 0
        unclipped = (item['lq'] < 1).all(0)
        np.testing.assert_allclose(light[0][unclipped], light[2][unclipped], atol=2 / 255)


def write_pairs(root: Path, clean: np.ndarray, light: np.ndarray) -> dict[str, str]:
    """One pair of a picture and the same with light added; the keys of a block that name their folders."""
    rainy = np.minimum(clean.astype(int) + light[..., None], 255).astype(np.uint8)
    for folder, picture in (('rainy', rainy), ('dry', clean)):
        (root / folder).mkdir(exist_ok=True)
        Image.fromarray(picture).save(root / folder / '0.png')
    return {f'dataroot_{folder}': str(root / folder) for folder in ('rainy', 'dry')}


@pytest.fixture
def light() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 90, (80, 96))


def test_borrowed_rain_is_what_was_added_to_the_other_picture(folder, tmp_path, light):
    pairs = write_pairs(tmp_path, np.random.default_rng(1).integers(0, 160, (80, 96, 3), np.uint8), light)
    seen = set()
    for seed in range(12):
        item = build('BorrowedRainDataset', 'val', folder, noise_seed=seed, **pairs)[0]
        clean, rainy = as_bytes(item['gt']).astype(int), as_bytes(item['lq'])
        for turn, turned in enumerate((light, light[::-1], light[:, ::-1], light[::-1, ::-1])):
            if np.array_equal(np.minimum(clean + turned[..., None], 255), rainy):
                seen.add(turn)
    assert seen == {0, 1, 2, 3}


def test_borrowed_rain_covers_pictures_larger_than_its_own(folder, tmp_path, light):
    pairs = write_pairs(tmp_path, np.zeros((20, 30, 3), np.uint8), light[:20, :30] + 1)
    item = build('BorrowedRainDataset', 'val', folder, in_ch=1, **pairs)[0]
    assert (item['lq'] > item['gt']).all()


def test_borrowed_rain_comes_from_where_it_was_not_clipped(folder, tmp_path, light):
    clean = np.full((80, 96, 3), 40, np.uint8)
    clean[:, :48] = 250  # the light is not known there
    dataset = build('BorrowedRainDataset', 'train', folder, gt_size=8, **write_pairs(tmp_path, clean, light + 20))
    brighter = [dataset[Draw(0, seed)]['sigma'].item() for seed in range(50)]
    assert np.mean(np.array(brighter) > 20) > 0.95


@pytest.mark.parametrize(('spoil', 'sentence'), [
    (lambda root: Image.new('RGB', (9, 9)).save(root / 'dry/1.png'),
     'dataroot_rainy holds 1 pictures and dataroot_dry 2'),
    (lambda root: Image.new('RGB', (9, 9)).save(root / 'dry/0.png'), 'dry/0.png are no pair'),
    (lambda root: Image.new('L', (96, 80)).save(root / 'dry/0.png'), 'dry/0.png are no pair'),
])
def test_pairs_of_rain_that_are_none_are_named(folder, tmp_path, light, spoil, sentence):
    pairs = write_pairs(tmp_path, np.zeros((80, 96, 3), np.uint8), light)
    spoil(tmp_path)
    with pytest.raises(UserError, match=re.escape(sentence)):
        build('BorrowedRainDataset', 'train', folder, **pairs)
    with pytest.raises(UserError, match='`dataroot_dry` is missing: write the folder of rainy pictures as'):
        build('BorrowedRainDataset', 'train', folder, dataroot_rainy=pairs['dataroot_rainy'])


@pytest.mark.parametrize(('in_ch', 'subsampling'), [(3, 420), (3, 444), (1, 420)])
def test_jpeg_pictures_are_those_of_the_encoder(folder, in_ch, subsampling):
    for item in build('JPEGDataset', 'val', folder, in_ch=in_ch, quality=[10, 12], subsampling=subsampling):
        clean, degraded = as_bytes(item['gt']), as_bytes(item['lq'])
        assert any(np.array_equal(degraded, stored_as_jpeg(clean, quality, subsampling)) for quality in (10, 11, 12))


def test_all_qualities_of_the_range_are_drawn(folder, monkeypatch):
    seen = []
    monkeypatch.setattr('basicsr_snn.data.jpeg_dataset.stored_as_jpeg',
                        lambda picture, quality, subsampling: seen.append(quality) or picture)
    dataset = build('JPEGDataset', 'train', folder, quality=[10, 13])
    for seed in range(60):
        dataset[Draw(0, seed)]
    assert set(seen) == {10, 11, 12, 13}


def test_noise_is_added_behind_the_blur(folder):
    quiet, noisy = (build('MotionBlurDataset', 'val', folder, noise=2 * [level]) for level in (0, 10))
    difference = 255 * (noisy[0]['lq'] - quiet[0]['lq'])
    assert difference.std().item() == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize(('kind', 'changes', 'sentence'), [
    ('RainStreaksDataset', {'angle': 20}, '`angle: 20` given, the least and the largest value are allowed, from -90'),
    ('RainStreaksDataset', {'coverage': [0.5, 0.1]}, '`coverage: [0.5, 0.1]` given'),
    ('RainStreaksDataset', {'directions': [1.5, 2]}, 'whole numbers are allowed: write `directions: ['),
    ('RainStreaksDataset', {'brightness': [0, 2]}, 'from 0 to 1: write `brightness: ['),
    ('JPEGDataset', {'quality': [0, 40]}, 'from 1 to 100: write `quality: [10, 40]`'),
    ('JPEGDataset', {'quality': [10.5, 40]}, 'whole numbers are allowed: write `quality: [10, 40]`'),
    ('JPEGDataset', {'quality': [True, 40]}, '`quality: [True, 40]` given'),
    ('JPEGDataset', {'subsampling': '4:2:0'}, '`subsampling: 4:2:0` given, 420, 422 and 444 are allowed'),
    ('JPEGDataset', {'subsampling': [420]}, '`subsampling: [420]` given'),
    ('MotionBlurDataset', {'length': [float('nan'), 3]}, '`length: [nan, 3]` given'),
    ('MotionBlurDataset', {'noise': [0, 300]}, 'from 0 to 255: write `noise: [0.0, 2.0]`'),
    ('MotionBlurDataset', {'noise_seed': 1}, '`noise_seed` is for validation and test'),
    ('MotionBlurDataset', {'gt_size': 100}, 'has 96x80 pixels, less than the crop of 100x100'),
])
def test_mistakes_are_named(folder, kind, changes, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)) as error:
        build(kind, 'train', folder, **changes)
    assert str(error.value).startswith('tiny: ')
