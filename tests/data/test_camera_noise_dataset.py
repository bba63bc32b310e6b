"""Clean pictures with the noise of cameras."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from PIL import Image

from basicsr_snn.data.camera_noise import CameraNoise
from basicsr_snn.data.camera_noise_dataset import CameraNoiseDataset
from basicsr_snn.data.draws import Draw
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import to_integers
from basicsr_snn.images.jpeg import stored_as_jpeg

OPT = {'name': 'tiny', 'type': 'CameraNoiseDataset'}
TRAIN = {**OPT, 'phase': 'train', 'gt_size': 24}
VAL = {**OPT, 'phase': 'val'}


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three soft colour pictures of 40x32 pixels."""
    root = tmp_path_factory.mktemp('pictures')
    rng = np.random.default_rng(0)
    for index in range(3):
        small = Image.fromarray(rng.integers(40, 216, (4, 5, 3), np.uint8))
        small.resize((40, 32), Image.Resampling.BICUBIC).save(root / f'p{index}.png')
    return root


def build(options: dict, root: Path, **changes: object) -> CameraNoiseDataset:
    return build_dataset({**options, 'dataroot_gt': str(root), **changes})


def noise_of(item: dict) -> np.ndarray:
    return (item['lq'] - item['gt']).numpy()


def test_noisy_pictures_have_8_bits_and_tell_their_level(folder: Path) -> None:
    for item in (build(TRAIN, folder)[Draw(1, 3)], build(VAL, folder)[1]):
        stored = item['lq'].numpy() * 255
        np.testing.assert_allclose(stored, stored.round(), atol=1e-4)
        assert item['sigma'].item() == pytest.approx(255 * np.sqrt(np.square(noise_of(item)).mean()), rel=1e-5)
        assert (item['lq'].dtype, item['gt'].dtype, item['sigma'].dtype) == (torch.float32,) * 3
        assert item['lq_path'] == item['gt_path'] == str(folder / 'p1.png')


@pytest.mark.parametrize(('kinds', 'changed'), [
    ({'camera': 1}, True), ({'poisson': 1}, True), ({'gaussian': 1}, True), ({'jpeg': 1}, True), ({'none': 1}, False)])
def test_each_kind_alone(folder: Path, kinds: dict, changed: bool) -> None:
    dataset = build(VAL, folder, kinds=kinds, jpeg_share=0, gaussian_sigma=[10, 10])
    for item in dataset:
        assert (np.abs(noise_of(item)).max() > 1e-6) == changed
        clean = to_integers(item['gt'].numpy().transpose(1, 2, 0))
        if kinds == {'jpeg': 1}:
            noisy = to_integers(item['lq'].numpy().transpose(1, 2, 0))
            assert any(np.array_equal(noisy, stored_as_jpeg(clean, quality)) for quality in range(75, 101))
        if kinds == {'gaussian': 1}:
            assert item['sigma'].item() == pytest.approx(10, rel=0.1)


def test_poisson_noise_grows_with_the_brightness_of_the_picture_itself() -> None:
    noise = CameraNoise(kinds={'poisson': 1}, shot_noise=(0.004, 0.004), jpeg_share=0)
    levels = []
    for brightness in (0.1, 0.3, 0.6):
        clean = np.full((128, 128, 3), brightness, np.float32)
        noisy, _ = noise.pair(clean, (128, 128), np.random.default_rng(0))
        levels.append((noisy - clean).var())
    np.testing.assert_allclose(np.diff(levels) / np.diff([0.1, 0.3, 0.6]), 0.004, rtol=0.1)


def test_shares_of_the_kinds_are_drawn() -> None:
    noise = CameraNoise(kinds={'gaussian': 3, 'none': 1}, gaussian_sigma=(20.0, 20.0), jpeg_share=0)
    clean, rng = np.full((8, 8, 3), 0.5, np.float32), np.random.default_rng(0)
    noisy = sum(np.abs(noise.pair(clean, (8, 8), rng)[0] - clean).max() > 0.01 for _ in range(400))
    assert noisy == pytest.approx(300, abs=40)


def test_jpeg_has_its_share() -> None:
    clean, rng = np.random.default_rng(1).random((16, 16, 3), np.float32), np.random.default_rng(0)
    noise = CameraNoise(kinds={'gaussian': 1}, gaussian_sigma=(0.0, 0.0), jpeg_share=0.3, jpeg_quality=(75, 75))
    stored = sum(np.abs(noise.pair(clean, (16, 16), rng)[0] - clean).max() > 0.01 for _ in range(300))
    assert stored == pytest.approx(90, abs=30)


def test_resizing_keeps_the_crop_and_makes_pictures_and_noise_smaller(folder: Path) -> None:
    white = {'kinds': {'gaussian': 1}, 'gaussian_sigma': [30, 30], 'jpeg_share': 0}
    halved, whole = (build(VAL, folder, resize_range=2 * [scale], **white) for scale in (0.5, 1))
    assert halved[0]['lq'].shape == halved[0]['gt'].shape == (3, 16, 20)
    assert halved[0]['sigma'].item() == pytest.approx(whole[0]['sigma'].item() / 2, rel=0.15)  # means of four pixels
    for seed in range(20):
        item = build(TRAIN, folder, resize_range=[0.5, 1])[Draw(0, seed)]
        assert item['lq'].shape == item['gt'].shape == (3, 24, 24)


def test_grey_is_what_becomes_of_colour_noise(folder: Path, tmp_path: Path) -> None:
    grey, colour = build(VAL, folder, in_ch=1, kinds={'camera': 1}), build(VAL, folder, kinds={'camera': 1})
    luminance = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    assert torch.allclose(grey[0]['lq'], (colour[0]['lq'] * luminance).sum(0, keepdim=True), atol=1e-5)
    Image.fromarray(np.random.default_rng(0).integers(40, 216, (30, 30), np.uint8)).save(tmp_path / 'grey.png')
    assert build(TRAIN, tmp_path, in_ch=1)[0]['lq'].shape == (1, 24, 24)


def test_validation_is_the_same_each_time_and_each_picture_has_noise_of_its_own(folder: Path, tmp_path: Path) -> None:
    first, again, other = build(VAL, folder), build(VAL, folder, subset=[1, 3]), build(VAL, folder, noise_seed=1)
    torch.manual_seed(3)
    assert torch.equal(first[1]['lq'], again[0]['lq'])
    assert not torch.equal(first[1]['lq'], other[1]['lq'])
    for index in range(2):
        Image.open(folder / 'p0.png').save(tmp_path / f'{index}.png')
    same = build(VAL, tmp_path, kinds={'camera': 1})
    assert not torch.equal(same[0]['lq'], same[1]['lq'])


def test_pictures_of_16_bits_keep_their_truth(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 2**16, (8, 8), np.uint16)
    Image.fromarray(pixels).save(tmp_path / 'deep.png')
    np.testing.assert_allclose(build(VAL, tmp_path, in_ch=1)[0]['gt'][0], pixels / 65535, atol=1e-6)


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'sigma': 25}, '`sigma` given, but the noise of a camera depends on brightness'),
    ({'kinds': {'camra': 1}}, 'kinds has an unknown kind "camra"; did you mean camera'),
    ({'kinds': {'camera': 0}}, "`kinds: {'camera': 0}` given, numbers of at least 0 are allowed, one of them above 0"),
    ({'kinds': {'camera': -1, 'none': 2}}, 'numbers of at least 0'),
    ({'kinds': {'camera': float('nan')}}, 'numbers of at least 0'),
    ({'kinds': ['camera']}, "`kinds: ['camera']` given, shares of camera, poisson, gaussian, jpeg, none are allowed"),
    ({'shot_noise': [0, 0.01]}, '`shot_noise: [0, 0.01]` given, the least and the largest value are allowed, from'),
    ({'shot_noise': [0.01, 0.001]}, 'write `shot_noise: [0.0001, 0.006]`'),
    ({'jpeg_quality': [75]}, '`jpeg_quality: [75]` given'),
    ({'jpeg_quality': [75, 101]}, 'from 1 to 100'),
    ({'jpeg_quality': [75.5, 90]}, 'whole numbers are allowed: write `jpeg_quality: [75, 100]`'),
    ({'resize_range': [0.5, 2]}, 'from 0.1 to 1: write `resize_range: [1.0, 1.0]`'),
    ({'enlarge_range': [0.5, 2]}, 'from 1 to 4: write `enlarge_range: [1.0, 1.0]`'),
    ({'light_smoothing': 'much'}, '`light_smoothing: much` given'),
    ({'jpeg_share': 1.5}, '`jpeg_share: 1.5` given, a number from 0 to 1 is allowed'),
    ({'noise_seed': 1}, '`noise_seed` is for validation and test'),
])
def test_mistakes_are_named(folder: Path, changes: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)) as error:
        build(TRAIN, folder, **changes)
    assert str(error.value).startswith('tiny: ')


def test_enlarged_pictures_are_smoother_and_have_the_same_noise(folder: Path) -> None:
    white = {'kinds': {'gaussian': 1}, 'gaussian_sigma': [30, 30], 'jpeg_share': 0}
    doubled, whole = (build(VAL, folder, enlarge_range=2 * [factor], **white) for factor in (2, 1))
    assert doubled[0]['lq'].shape == doubled[0]['gt'].shape == (3, 64, 80)
    assert doubled[0]['sigma'].item() == pytest.approx(whole[0]['sigma'].item(), rel=0.05)
    steps = [one[0]['gt'].diff(dim=2).abs().mean() for one in (doubled, whole)]
    assert steps[0] < 0.6 * steps[1]
    for seed in range(20):
        item = build(TRAIN, folder, enlarge_range=[1, 3], resize_range=[0.5, 1])[Draw(0, seed)]
        assert item['lq'].shape == item['gt'].shape == (3, 24, 24)
        assert item['gt'].clamp(0, 1).equal(item['gt'])
    both = build(VAL, folder, enlarge_range=[2, 2], resize_range=[0.5, 0.5], **white)
    assert both[0]['lq'].shape == (3, 32, 40)


def test_what_is_drawn_is_the_same_where_nothing_is_enlarged() -> None:
    rngs = np.random.default_rng(0), np.random.default_rng(0)
    assert CameraNoise().draw_enlargement(rngs[0]) == 1
    assert rngs[0].random() == rngs[1].random()
    assert 1 < CameraNoise(enlarge_range=(1.0, 2.0)).draw_enlargement(rngs[0]) < 2
