"""Pairs of a real noisy picture and its truth."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from basicsr.utils.lmdb_util import make_lmdb_from_imgs
from PIL import Image

from basicsr_snn.data.draws import Draw
from basicsr_snn.data.real_pairs_dataset import RealPairsDataset
from basicsr_snn.errors import UserError
from basicsr_snn.models.validation_loop import has_truth, picture_paths

OPT = {'name': 'tiny', 'type': 'RealPairsDataset'}
TRAIN = {**OPT, 'phase': 'train', 'gt_size': 8}
VAL = {**OPT, 'phase': 'val'}


def write_pair(root: Path, name: str, seed: int, marks: tuple[str, str] = ('_mean', '_real'),
               extension: str = 'png') -> tuple[np.ndarray, np.ndarray]:
    """Random clean pixels, and the same upside down as the noisy picture."""
    clean = np.random.default_rng(seed).integers(0, 256, (12, 14, 3), np.uint8)
    for mark, pixels in zip(marks, (clean, clean[::-1]), strict=True):
        Image.fromarray(pixels).save(root / f'{name}{mark}.{extension}')
    return clean, clean[::-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pairs in a folder whose own name holds a mark."""
    root = tmp_path / 'all_means_mean'
    root.mkdir()
    for index, name in enumerate(('a_mean_3.5', 'b', 'c_real')):
        write_pair(root, name, index)
    return root


def build(options: dict, root: Path, **changes: object) -> RealPairsDataset:
    return build_dataset({**options, 'dataroot_gt': str(root), **changes})


def test_pairs_are_found_by_how_their_names_end(folder: Path) -> None:
    (folder / 'README.md').write_text('pairs')
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / 'other.png')  # of no pair
    dataset = build(VAL, folder)
    assert len(dataset) == 3
    for item, (name, seed) in zip(dataset, (('a_mean_3.5', 0), ('b', 1), ('c_real', 2)), strict=True):
        clean = np.random.default_rng(seed).integers(0, 256, (12, 14, 3), np.uint8).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(item['gt'], clean, atol=1e-6)
        np.testing.assert_allclose(item['lq'], clean[:, ::-1], atol=1e-6)
        assert item['gt_path'] == str(folder / f'{name}_mean.png')
        assert item['lq_path'] == str(folder / f'{name}_real.png')
        assert item['sigma'].item() == pytest.approx(255 * np.sqrt(np.square(clean - clean[:, ::-1]).mean()), rel=1e-5)
        assert item['sigma'].dtype == torch.float32
    assert has_truth(dataset)
    assert picture_paths(dataset) == [item['lq_path'] for item in dataset]


@pytest.mark.parametrize('cache', [True, False])
def test_crops_are_at_the_same_place_in_the_same_symmetry(folder: Path, cache: bool) -> None:
    for name in ('a_mean_3.5', 'b', 'c_real'):
        Image.open(folder / f'{name}_mean.png').point(lambda value: value // 2).save(folder / f'{name}_real.png')
    dataset = build(TRAIN, folder, cache=cache)
    crops = [dataset[Draw(seed % 3, seed)] for seed in range(12)]
    for item in crops:
        np.testing.assert_array_equal((item['lq'] * 255).round(), (item['gt'] * 255).round() // 2)
        assert item['lq'].shape == (3, 8, 8)
    assert len({item['gt'].numpy().tobytes() for item in crops}) == 12


def test_subset_counts_pairs_and_grey_is_luminance(folder: Path) -> None:
    dataset = build(VAL, folder, subset=[1, 3], in_ch=1)
    assert [Path(item['gt_path']).name for item in dataset] == ['b_mean.png', 'c_real_mean.png']
    assert dataset[0]['lq'].shape == dataset[0]['gt'].shape == (1, 12, 14)


def test_other_marks_and_extensions_and_an_lmdb(tmp_path: Path) -> None:
    root = tmp_path / 'pairs'
    root.mkdir()
    write_pair(root, '0001', 0, ('_GT', '_NOISY'))
    (root / '0001_NOISY.png').unlink()
    write_pair(root, '0001', 0, ('_x', '_NOISY'), 'bmp')
    (root / '0001_x.bmp').unlink()
    marks = {'gt_mark': '_GT', 'lq_mark': '_NOISY'}
    assert build(VAL, root, **marks)[0]['lq_path'].endswith('0001_NOISY.bmp')
    stored = tmp_path / 'pairs.lmdb'
    names = ['0001_GT.png', '0001_NOISY.bmp']
    make_lmdb_from_imgs(str(root), str(stored), names, [f'cam1/{Path(name).stem}' for name in names], map_size=1 << 22)
    item = build(VAL, stored, **marks)[0]
    assert (item['gt_path'], item['lq_path']) == ('cam1/0001_GT', 'cam1/0001_NOISY')


@pytest.mark.parametrize(('spoil', 'changes', 'sentence'), [
    (lambda root: (root / 'b_real.png').unlink(), {}, 'holds b_mean, but no b_real, the other picture of the pair'),
    (lambda root: (root / 'b_mean.png').unlink(), {}, 'holds b_real, but no b_mean, the other picture of the pair'),
    (lambda root: Image.new('RGB', (14, 13)).save(root / 'b_real.png'), {}, 'b_mean.png has 14x12 pixels and'),
    (lambda root: None, {'gt_mark': '_GT', 'lq_mark': '_NOISY'}, 'no pictures whose names end on _GT and _NOISY'),
    (lambda root: None, {'gt_mark': '_real'}, 'gt_mark and lq_mark are both _real'),
    (lambda root: None, {'gt_mark': ''}, '`gt_mark: ` given, what names end on is allowed: write `gt_mark: _mean`'),
    (lambda root: None, {'lq_mark': 3}, '`lq_mark: 3` given'),
    (lambda root: None, {'subset': [2, 4]}, '`subset: [2, 4]` reaches beyond the 3 pictures'),
    (lambda root: None, {'gt_size': 13}, 'less than the crop of 13x13'),
])
def test_mistakes_are_named_before_the_training(folder: Path, spoil, changes: dict, sentence: str) -> None:
    spoil(folder)
    with pytest.raises(UserError, match=re.escape(sentence)) as error:
        build(TRAIN, folder, cache=False, **changes)
    assert str(error.value).startswith('tiny: ')


def test_a_pair_of_other_bits_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / 'a_mean.png')
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(tmp_path / 'a_real.png')
    with pytest.raises(UserError, match='9x9 of 8 bits pixels and .* has 9x9 of 16 bits'):
        build(VAL, tmp_path, in_ch=1)[0]


@pytest.mark.slow
def test_noise_of_polyu(shared_data: Path) -> None:
    levels = np.array([item['sigma'].item() for item in build(VAL, shared_data / 'PolyU')])
    assert np.mean(20 * np.log10(255 / levels)) == pytest.approx(35.97, abs=0.01)  # as others measured the 100 pairs
