"""The denoising dataset."""
from __future__ import annotations

import math
import pickle
import re
from collections import Counter
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.data import build_dataloader, build_dataset
from basicsr.utils.lmdb_util import make_lmdb_from_imgs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from basicsr_snn.data import picture_pairs as module
from basicsr_snn.data.gaussian_denoising_dataset import GaussianDenoisingDataset
from basicsr_snn.data.picture_pairs import augment
from basicsr_snn.errors import UserError

TRAIN = {'name': 'tiny', 'type': 'GaussianDenoisingDataset', 'phase': 'train', 'sigma': 25, 'gt_size': 8}
VAL = {'name': 'tiny', 'type': 'GaussianDenoisingDataset', 'phase': 'val', 'sigma': 25}
COUNT = 4


def random_pixels(*shape: int, bits: int = 8, seed: int = 0) -> np.ndarray:
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**bits, shape, dtype=dtype)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four colour pictures of different sizes, p0.png to p3.png."""
    root = tmp_path_factory.mktemp('pictures')
    for index in range(COUNT):
        Image.fromarray(random_pixels(12 + index, 20 - index, 3, seed=index)).save(root / f'p{index}.png')
    return root


@pytest.fixture(scope='module')
def lmdb_root(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('lmdb') / 'tiny.lmdb'
    names = [path.name for path in sorted(folder.iterdir())]
    make_lmdb_from_imgs(str(folder), str(root), names, [Path(name).stem for name in names], map_size=1 << 24)
    return root


def grey_folder(root: Path, bits: int = 8) -> Path:
    Image.fromarray(random_pixels(16, 16, bits=bits)).save(root / 'grey.png')
    return root


def build(options: dict, root: Path, **changes: object) -> GaussianDenoisingDataset:
    return build_dataset({**options, 'dataroot_gt': str(root), **changes})


@pytest.mark.parametrize('sigma', [0, 12.7, 15, 50])
def test_test_noise_is_that_of_the_protocol(folder: Path, sigma: float) -> None:
    dataset = build(VAL, folder, sigma=sigma)
    for index in range(COUNT):
        clean = cv2.imread(str(folder / f'p{index}.png'))[:, :, ::-1].astype(np.float32) / 255.0
        np.random.seed(0)
        noisy = clean.copy()
        noisy += np.random.normal(0, sigma / 255.0, clean.shape)
        item = dataset[index]
        np.testing.assert_array_equal(item['lq'].numpy(), noisy.transpose(2, 0, 1))
        np.testing.assert_array_equal(item['gt'].numpy(), clean.transpose(2, 0, 1))
        assert item['lq_path'] == item['gt_path'] == str(folder / f'p{index}.png')
        assert item['sigma'].item() == pytest.approx(sigma)
        assert (item['lq'].dtype, item['gt'].dtype, item['sigma'].dtype, item['sigma'].shape) == (
            torch.float32, torch.float32, torch.float32, ())


def test_noise_seed_changes_the_noise(folder: Path) -> None:
    noises = [build(VAL, folder, **seed)[0]['lq'] for seed in ({}, {'noise_seed': 0}, {'noise_seed': 1})]
    assert torch.equal(noises[0], noises[1])
    assert not torch.equal(noises[0], noises[2])


def test_grey_file_is_exact(tmp_path: Path) -> None:
    item = build(VAL, grey_folder(tmp_path), in_ch=1)[0]
    np.testing.assert_array_equal(item['gt'].numpy()[0], random_pixels(16, 16).astype(np.float32) / 255)
    assert item['lq'].shape == (1, 16, 16)


@pytest.mark.parametrize('cache', [True, False])
def test_16_bits_keep_their_precision(tmp_path: Path, cache: bool) -> None:
    item = build(VAL, grey_folder(tmp_path, bits=16), in_ch=1, cache=cache)[0]
    np.testing.assert_array_equal(item['gt'].numpy()[0], random_pixels(16, 16, bits=16).astype(np.float32) / 65535)


def test_colour_becomes_luminance(folder: Path) -> None:
    exact = random_pixels(12, 20, 3) @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(build(VAL, folder, in_ch=1)[0]['gt'].numpy()[0] * 255, exact, atol=0.51)


def test_standard_sets_by_the_protocol(shared_data: Path) -> None:
    """Noisy CBSD68 at sigma 25 has 20.53 dB once clipped (measured by others with other seeds)."""
    dataset = build(VAL, shared_data / 'CBSD68', subset=[0, 6])
    errors = [(item['lq'].clamp(0, 1) - item['gt']).square().mean().item() for item in dataset]
    assert np.mean([-10 * math.log10(error) for error in errors]) == pytest.approx(20.5, abs=0.5)


def test_crop_is_one_of_the_picture(folder: Path) -> None:
    dataset = build(TRAIN, folder, use_hflip=False, use_rot=False)
    torch.manual_seed(0)
    for index in range(COUNT):
        item = dataset[index]
        crop = np.rint(item['gt'].numpy().transpose(1, 2, 0) * 255)
        whole = random_pixels(12 + index, 20 - index, 3, seed=index)
        windows = np.lib.stride_tricks.sliding_window_view(whole, (8, 8, 3))
        places = np.argwhere((windows == crop).all(axis=(-3, -2, -1))[:, :, 0])
        assert places.tolist() == [item['corner'].tolist()]


def test_every_corner_is_reached(tmp_path: Path) -> None:
    Image.fromarray(np.arange(4 * 5, dtype=np.uint8).reshape(4, 5)).save(tmp_path / 'a.png')
    dataset = build(TRAIN, tmp_path, in_ch=1, gt_size=3, use_hflip=False, use_rot=False, repeat=200)
    torch.manual_seed(0)
    corners = Counter(round(item['gt'][0, 0, 0].item() * 255) for item in dataset)
    assert set(corners) == {0, 1, 2, 5, 6, 7}
    assert min(corners.values()) > 15  # 200 / 6 = 33 expected


@pytest.mark.parametrize(('use_hflip', 'use_rot', 'count'), [(True, True, 8), (False, True, 4), (True, False, 2),
                                                             (False, False, 1)])
def test_symmetries(tmp_path: Path, use_hflip: bool, use_rot: bool, count: int) -> None:
    square = random_pixels(6, 6)
    Image.fromarray(square).save(tmp_path / 'a.png')
    dataset = build(TRAIN, tmp_path, in_ch=1, gt_size=6, use_hflip=use_hflip, use_rot=use_rot, repeat=200)
    torch.manual_seed(0)
    seen = Counter(np.rint(item['gt'].numpy()[0] * 255).astype(np.uint8).tobytes() for item in dataset)
    all_eight = {np.ascontiguousarray(np.rot90(view, turns)).tobytes() for view in (square, square[:, ::-1])
                 for turns in range(4)}
    assert len(seen) == count
    assert set(seen) <= all_eight
    assert min(seen.values()) > 200 / count / 3


def test_augment_makes_the_eight_symmetries() -> None:
    square = random_pixels(5, 5, 3)
    made = {np.ascontiguousarray(augment(square, *(bool(number & bit) for bit in (1, 2, 4)))).tobytes()
            for number in range(8)}
    expected = {np.ascontiguousarray(np.rot90(view, turns)).tobytes() for view in (square, square[:, ::-1])
                for turns in range(4)}
    assert made == expected


def test_training_noise_has_the_asked_statistics(folder: Path) -> None:
    dataset = build(TRAIN, folder, gt_size=12, repeat=100)
    torch.manual_seed(0)
    noise = torch.stack([item['lq'] - item['gt'] for item in dataset]) * 255
    count = noise.numel()
    assert noise.mean().abs() < 5 * 25 / math.sqrt(count)
    assert noise.std().item() == pytest.approx(25, abs=5 * 25 / math.sqrt(2 * count))
    channels = noise.transpose(0, 1).flatten(1)
    assert torch.corrcoef(channels).fill_diagonal_(0).abs().max() < 5 / math.sqrt(channels.shape[1])


@given(height=st.integers(1, 24), width=st.integers(1, 24), side=st.integers(1, 24), channels=st.sampled_from([1, 3]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_size_and_crop(tmp_path_factory: pytest.TempPathFactory, height: int, width: int, side: int,
                           channels: int) -> None:
    root = tmp_path_factory.mktemp('any')
    Image.fromarray(random_pixels(height, width, 3)).save(root / 'a.png')
    if side > min(height, width):
        with pytest.raises(UserError, match=rf'a\.png has {width}x{height} pixels, .* the crop of {side}x{side}'):
            build(TRAIN, root, gt_size=side, in_ch=channels)
    else:
        item = build(TRAIN, root, gt_size=side, in_ch=channels)[0]
        assert item['gt'].shape == item['lq'].shape == (channels, side, side)
    assert build(VAL, root, in_ch=channels)[0]['lq'].shape == (channels, height, width)


def test_sigma_range_is_uniform_and_true_to_the_noise(folder: Path) -> None:
    dataset = build(TRAIN, folder, sigma=None, sigma_range=[10, 50], gt_size=12, repeat=100)
    torch.manual_seed(0)
    items = list(dataset)
    levels = torch.stack([item['sigma'] for item in items])
    assert levels.min() >= 10
    assert levels.max() <= 50
    assert levels.mean().item() == pytest.approx(30, abs=5 * 40 / math.sqrt(12 * len(items)))
    assert levels.std().item() == pytest.approx(40 / math.sqrt(12), rel=0.1)
    ratios = torch.stack([(item['lq'] - item['gt']).std() * 255 / item['sigma'] for item in items])
    assert ratios.mean().item() == pytest.approx(1, abs=0.01)
    assert ratios.std().item() < 0.06  # 1 / sqrt(2 * 432) = 0.034 expected


def test_sigma_list_draws_each(folder: Path) -> None:
    dataset = build(TRAIN, folder, sigma=None, sigma_list=[15, 25, 50], repeat=75)
    torch.manual_seed(0)
    levels = Counter(item['sigma'].item() for item in dataset)
    assert set(levels) == {15, 25, 50}
    assert min(levels.values()) > 60


def test_seed_repeats_a_sample(folder: Path) -> None:
    dataset = build(TRAIN, folder, sigma=None, sigma_range=[0, 55])
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(dataset[0]['lq'])
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize('cache', [True, False])
def test_epochs_of_restarted_workers_differ(folder: Path, lmdb_root: Path, cache: bool) -> None:
    """BasicSR seeds NumPy alike in the workers of every epoch; crops and noise must not repeat."""
    torch.manual_seed(0)
    for root in (folder, lmdb_root):
        options = {**TRAIN, 'dataroot_gt': str(root), 'cache': cache, 'repeat': 2, 'batch_size_per_gpu': 1,
                   'num_worker_per_gpu': 2}
        dataset = build_dataset(options)
        dataset[0]  # opens the lmdb in the parent, as a validation would
        loader = build_dataloader(dataset, options, num_gpu=0, seed=7)
        # Signs, since lq - gt gives back the drawn noise only up to rounding.
        epochs = [[(path, (noise > 0).numpy().tobytes()) for batch in loader
                   for path, noise in zip(batch['gt_path'], batch['lq'] - batch['gt'], strict=True)] for _ in range(2)]
        assert [Counter(path for path, _ in epoch) for epoch in epochs] == [
            dict.fromkeys(dataset.source.names, 2)] * 2
        assert len({noise for epoch in epochs for _, noise in epoch}) == 4 * COUNT


def test_repeat_and_index(folder: Path) -> None:
    dataset = build(TRAIN, folder, repeat=3)
    assert len(dataset) == 3 * COUNT
    assert dataset[COUNT + 1]['gt_path'] == dataset[1]['gt_path'] == str(folder / 'p1.png')
    assert dataset[-1]['gt_path'] == str(folder / 'p3.png')
    with pytest.raises(IndexError):
        dataset[3 * COUNT]


@pytest.mark.parametrize('cache', [True, False])
def test_disk_and_lmdb_give_the_same(folder: Path, lmdb_root: Path, cache: bool) -> None:
    for options in (TRAIN, VAL):
        disk, stored = build(options, folder, cache=cache), build(options, lmdb_root, cache=cache)
        assert len(disk) == len(stored) == COUNT
        for index in range(COUNT):
            pair = []
            for dataset in (disk, stored):
                torch.manual_seed(index)
                pair.append(dataset[index])
            assert torch.equal(pair[0]['lq'], pair[1]['lq'])
            assert torch.equal(pair[0]['gt'], pair[1]['gt'])
            assert pair[1]['gt_path'] == Path(pair[0]['gt_path']).stem


def test_train_and_val_share_one_lmdb(lmdb_root: Path) -> None:
    train, val = build(TRAIN, lmdb_root, cache=False, subset=[0, 3]), build(VAL, lmdb_root, subset=[3, 4])
    assert [train[0]['gt_path'], val[0]['gt_path'], train[2]['gt_path']] == ['p0', 'p3', 'p2']


def test_dataset_can_be_sent_to_a_spawned_worker(lmdb_root: Path) -> None:
    dataset = build(VAL, lmdb_root)
    before = dataset[0]['lq']
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[0]['lq'], before)


def test_cache_gives_the_same_as_none(folder: Path) -> None:
    crops = []
    for cache in (True, False):
        torch.manual_seed(5)
        crops.append(build(TRAIN, folder, cache=cache)[2]['lq'])
    assert torch.equal(*crops)


def test_cache_reads_no_file_again(tmp_path: Path) -> None:
    dataset = build(TRAIN, grey_folder(tmp_path), in_ch=1)
    (tmp_path / 'grey.png').unlink()
    assert dataset[0]['gt'].shape == (1, 8, 8)


def test_cache_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = sum(3 * (12 + index) * (20 - index) for index in range(COUNT))
    monkeypatch.setattr(module, 'CACHE_LIMIT', decoded)
    assert build(TRAIN, folder)._cached.nbytes == decoded
    monkeypatch.setattr(module, 'CACHE_LIMIT', decoded - 1)
    assert build(TRAIN, folder)._cached is None
    assert build(VAL, folder)._cached is None


def test_subset_splits_a_folder(folder: Path) -> None:
    parts = [[item['gt_path'] for item in build(VAL, folder, subset=subset)] for subset in ([0, 3], [3, 4])]
    assert [Path(name).name for part in parts for name in part] == ['p0.png', 'p1.png', 'p2.png', 'p3.png']


def test_recursive(folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'inside').symlink_to(folder)
    (tmp_path / 'above.png').write_bytes((folder / 'p0.png').read_bytes())
    assert len(build(VAL, tmp_path)) == 1
    assert len(build(VAL, tmp_path, recursive=True)) == COUNT + 1


def test_opt_is_kept(folder: Path) -> None:
    opt = {**VAL, 'dataroot_gt': str(folder), 'io_backend': {'type': 'disk'}}
    before = deepcopy(opt)
    dataset = GaussianDenoisingDataset(opt)
    assert dataset.opt is opt
    assert opt == before


def test_yaml_of_the_docstring_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'datasets' / 'BSD432').mkdir(parents=True)
    Image.fromarray(random_pixels(70, 70, 3)).save(tmp_path / 'datasets' / 'BSD432' / 'a.png')
    monkeypatch.chdir(tmp_path)
    block = GaussianDenoisingDataset.__doc__.split('.. code-block:: yaml')[1]
    opt = yaml.safe_load(block)['train'] | {'phase': 'train'}
    assert build_dataset(opt)[0]['lq'].shape == (3, 64, 64)


@pytest.mark.parametrize(('phase', 'changes', 'message'), [
    ('train', {'gt_size': None}, '`gt_size: None` given, a whole number of at least 1'),
    ('train', {'gt_size': 6.5}, '`gt_size: 6.5` given'),
    ('train', {'gt_size': 13}, 'p0.png has 20x12 pixels, less than the crop of 13x13: write `gt_size: 12`'),
    ('train', {'repeat': 0}, '`repeat: 0` given, a whole number of at least 1'),
    ('train', {'noise_seed': 1}, '`noise_seed` is for validation and test'),
    ('train', {'use_hflip': 'yes'}, '`use_hflip: yes` given, true and false are allowed'),
    ('train', {'cache': 1}, '`cache: 1` given'),
    ('val', {'gt_size': 8}, '`gt_size` is for training'),
    ('val', {'use_rot': True}, '`use_rot` is for training'),
    ('val', {'noise_seed': -1}, '`noise_seed: -1` given, a whole number of at least 0'),
    ('val', {'in_ch': 4}, '`in_ch: 4` given, 3 (RGB) and 1 (grey) are allowed'),
    ('val', {'phase': 'train_1'}, '`phase: train_1` given, train, val, test are allowed'),
    ('val', {'dataroot_gt': None}, '`dataroot_gt` is missing'),
    ('val', {'dataroot_gt': 'nowhere'}, 'the folder nowhere does not exist'),
    ('val', {'dataroot_gt': 'nowhere.lmdb'}, 'prepare -i PICTURES -o nowhere.lmdb --lmdb'),
    ('val', {'io_backend': {'type': 'lmdb'}}, 'an lmdb ends in .lmdb'),
    ('val', {'io_backend': {'type': 'disk'}, 'dataroot_gt': 'x.lmdb'}, 'write `type: lmdb`'),
    ('val', {'io_backend': {'type': 'memcached'}}, 'disk and lmdb are allowed'),
    ('val', {'subset': [0, 5]}, '`subset: [0, 5]` reaches beyond the 4 pictures'),
    ('val', {'subset': [2, 2]}, '`subset: [2, 2]` given, [start, stop] with 0 <= start < stop'),
    ('val', {'subset': 3}, '`subset: 3` given'),
    ('val', {'sigma': None, 'sigma_range': [0, 55]}, '`sigma_range` is for training; a score needs one level: write '
                                                     '`sigma: 55`'),
])
def test_mistakes_are_named(folder: Path, phase: str, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        build(TRAIN if phase == 'train' else VAL, folder, **changes)
    assert 'tiny' in str(caught.value) or 'nowhere' in str(caught.value)


def test_gt_size_is_required(folder: Path) -> None:
    opt = {key: value for key, value in TRAIN.items() if key != 'gt_size'} | {'dataroot_gt': str(folder)}
    with pytest.raises(UserError, match='`gt_size` is missing: training needs it; write `gt_size: 64`'):
        build_dataset(opt)


@pytest.mark.parametrize('cache', [True, False])
def test_grey_picture_in_a_colour_set(tmp_path: Path, cache: bool) -> None:
    with pytest.raises(UserError, match=r'grey\.png is a grey picture where colour was asked for'):
        build(TRAIN, grey_folder(tmp_path), cache=cache)[0]


def test_unreadable_picture_is_named_before_training(tmp_path: Path) -> None:
    grey_folder(tmp_path)
    (tmp_path / 'broken.jpg').write_bytes(b'no picture')
    with pytest.raises(UserError, match=r'broken\.jpg is no readable picture'):
        build(TRAIN, tmp_path, in_ch=1, cache=False)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='no pictures in'):
        build(VAL, tmp_path)


@pytest.mark.parametrize(('meta_info', 'message'), [
    (None, 'has no meta_info.txt'),
    ('', 'lists no pictures'),
    ('p0 8 8\n', "line 1 of .* is 'p0 8 8'"),
    ('p0.png (16,16,3) 1\n', 'cannot be opened'),
])
def test_broken_lmdb_is_named(tmp_path: Path, meta_info: str | None, message: str) -> None:
    root = tmp_path / 'half.lmdb'
    root.mkdir()
    if meta_info is not None:
        (root / 'meta_info.txt').write_text(meta_info)
    with pytest.raises(UserError, match=message) as caught:
        build(VAL, root)[0]
    assert 'half.lmdb' in str(caught.value)


def test_lmdb_picture_that_is_listed_but_absent(lmdb_root: Path, tmp_path: Path) -> None:
    root = tmp_path / 'copy.lmdb'
    root.mkdir()
    for path in lmdb_root.iterdir():
        (root / path.name).write_bytes(path.read_bytes())
    (root / 'meta_info.txt').write_text('ghost.png (16,16,3) 1\n')
    with pytest.raises(UserError, match=r"copy\.lmdb holds no picture 'ghost'"):
        build(VAL, root)[0]
