"""The command ``prepare``."""
from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest
from basicsr.data import build_dataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from basicsr_snn.cli import prepare
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import read_picture
from basicsr_snn.images.listing import list_pictures


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    prepare.add_parser(parser.add_subparsers())
    args = parser.parse_args(['prepare', *map(str, arguments)])
    return args.func(args)


def random_pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A colour PNG, a colour JPEG, a grey 16-bit PNG and a PNG with alpha, two of them in a sub-folder."""
    folder = tmp_path / 'source'
    (folder / 'sub').mkdir(parents=True)
    Image.fromarray(random_pixels(20, 30, 3)).save(folder / 'a.png')
    Image.fromarray(random_pixels(24, 16, 3)).save(folder / 'b.jpg')
    Image.fromarray(random_pixels(16, 16).astype(np.uint16) * 200).save(folder / 'sub' / 'c.png')
    Image.fromarray(random_pixels(10, 12, 4)).save(folder / 'sub' / 'd.png')
    return folder


def assert_nothing_left(folder: Path, *names: str) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_copies_files_unchanged(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run('-i', source, '-o', tmp_path / 'sets' / 'mine', '--recursive') == 0
    made = list_pictures(tmp_path / 'sets' / 'mine')
    assert [path.name for path in made] == ['a.png', 'b.jpg', 'c.png', 'd.png']
    assert [path.read_bytes() for path in made] == [
        path.read_bytes() for path in sorted(list_pictures(source, recursive=True), key=lambda path: path.name)]
    assert not any(path.is_symlink() for path in made)
    assert capsys.readouterr().out == f'4 pictures in {tmp_path}/sets/mine; in the option file: dataroot_gt: ' \
                                      f'{tmp_path}/sets/mine\n'
    assert_nothing_left(tmp_path / 'sets', 'mine')


def test_links(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run('-i', 'source', '-o', 'mine', '--link') == 0
    assert (tmp_path / 'mine' / 'a.png').is_symlink()
    assert (tmp_path / 'mine' / 'a.png').resolve() == source / 'a.png'
    linked = read_picture(tmp_path / 'mine' / 'a.png').pixels
    np.testing.assert_array_equal(linked, read_picture(source / 'a.png').pixels)


@pytest.mark.parametrize('in_ch', [1, 3])
def test_lmdb_gives_the_pictures_of_the_folder(source: Path, tmp_path: Path, in_ch: int) -> None:
    root = tmp_path / 'mine.lmdb'
    assert run('-i', source, '-o', root, '--lmdb') == 0
    options = {'name': 'x', 'type': 'GaussianDenoisingDataset', 'phase': 'val', 'sigma': 25, 'in_ch': in_ch}
    disk, stored = (build_dataset({**options, 'dataroot_gt': str(path)}) for path in (source, root))
    assert stored.source.names == ['a', 'b']
    for one, other in zip(disk, stored, strict=True):
        np.testing.assert_array_equal(one['gt'].numpy(), other['gt'].numpy())
        np.testing.assert_array_equal(one['lq'].numpy(), other['lq'].numpy())
    assert_nothing_left(tmp_path, 'mine.lmdb', 'source')


def test_lmdb_is_listed_as_basicsr_does(source: Path, tmp_path: Path) -> None:
    run('-i', source, '-o', tmp_path / 'mine.lmdb', '--lmdb', '--recursive')
    lines = (tmp_path / 'mine.lmdb' / 'meta_info.txt').read_text().splitlines()
    assert sorted(lines) == ['a.png (20,30,3) 1', 'b.png (24,16,3) 1', 'c.png (16,16,1) 1', 'd.png (10,12,3) 1']
    dataset = build_dataset({'name': 'x', 'type': 'GaussianDenoisingDataset', 'phase': 'val', 'sigma': 0, 'in_ch': 1,
                             'dataroot_gt': str(tmp_path / 'mine.lmdb'), 'subset': [2, 3]})
    np.testing.assert_array_equal(np.rint(dataset[0]['gt'].numpy()[0] * 65535), random_pixels(16, 16).astype(int) * 200)


@pytest.mark.parametrize('lmdb', [False, True])
def test_pieces(source: Path, tmp_path: Path, lmdb: bool) -> None:
    root = tmp_path / ('mine.lmdb' if lmdb else 'mine')
    assert run('-i', source, '-o', root, '--crop', 16, '--step', 8, *(['--lmdb'] if lmdb else [])) == 0
    dataset = build_dataset({'name': 'x', 'type': 'GaussianDenoisingDataset', 'phase': 'val', 'sigma': 0,
                             'dataroot_gt': str(root)})
    pieces = {Path(item['gt_path']).stem: np.rint(item['gt'].numpy().transpose(1, 2, 0) * 255) for item in dataset}
    picture = random_pixels(20, 30, 3)
    expected = {f'a_s{number:03d}': picture[top:top + 16, left:left + 16] for number, (top, left) in enumerate(
        [(0, 0), (0, 8), (0, 14), (4, 0), (4, 8), (4, 14)], start=1)}
    assert sorted(pieces) == [*sorted(expected), 'b_s001', 'b_s002']
    for name, piece in expected.items():
        np.testing.assert_array_equal(pieces[name], piece)
    jpeg = cv2.imread(str(source / 'b.jpg'))[:, :, ::-1]
    np.testing.assert_array_equal(pieces['b_s002'], jpeg[8:24])


def test_step_defaults_to_the_crop() -> None:
    assert prepare.cuts(48, 16, 16) == [0, 16, 32]
    assert prepare.cuts(50, 16, 16) == [0, 16, 32, 34]
    assert prepare.cuts(10, 16, 16) == [0]
    assert prepare.cuts(50, None, None) == [0]


@given(length=st.integers(1, 200), crop=st.integers(1, 64), step=st.integers(1, 64))
def test_cuts_cover_the_side(length: int, crop: int, step: int) -> None:
    starts = prepare.cuts(length, crop, step)
    assert starts == sorted(set(starts))
    assert all(0 <= start <= max(length - crop, 0) for start in starts)
    covered = {pixel for start in starts for pixel in range(start, min(start + crop, length))}
    assert {0, length - 1} <= covered
    if step <= crop:
        assert covered == set(range(length))


@pytest.mark.parametrize(('arguments', 'message'), [
    (['-o', 'new', '--lmdb'], r'`-o new` with `--lmdb`: .* write `-o new\.lmdb`'),
    (['-o', 'new.lmdb'], r'`-o new\.lmdb` without `--lmdb`: .* write `--lmdb` or `-o new`'),
    (['-o', 'new', '--link', '--crop', '8'], '`--link` and `--crop` together'),
    (['-o', 'new.lmdb', '--link', '--lmdb'], '`--link` and `--lmdb` together'),
    (['-o', 'new', '--step', '8'], '`--step 8` without `--crop`'),
    (['-o', 'new', '--crop', '0'], '`--crop 0` given, at least 1 pixel'),
    (['-o', 'new', '--crop', '8', '--step', '0'], '`--step 0` given, at least 1 pixel'),
    (['-o', 'source'], 'source exists and is never overwritten'),
    (['-o', 'source/a.png'], r'a\.png exists and is never overwritten'),
])
def test_mistakes_are_named(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str],
                            message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run('-i', 'source', *arguments)
    assert_nothing_left(tmp_path, 'source')
    assert_nothing_left(source, 'a.png', 'b.jpg', 'sub')


def test_an_empty_folder_may_be_filled(source: Path, tmp_path: Path) -> None:
    (tmp_path / 'new').mkdir()
    assert run('-i', source, '-o', tmp_path / 'new') == 0
    assert len(list_pictures(tmp_path / 'new')) == 2


def test_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='nowhere does not exist'):
        run('-i', tmp_path / 'nowhere', '-o', tmp_path / 'new')


def test_equal_names_are_refused(source: Path, tmp_path: Path) -> None:
    (source / 'sub' / 'a.jpg').write_bytes((source / 'b.jpg').read_bytes())
    with pytest.raises(UserError, match=r"a\.png and .*a\.jpg both become 'a'"):
        run('-i', source, '-o', tmp_path / 'new', '--recursive')
    assert_nothing_left(tmp_path, 'source')


@pytest.mark.parametrize('name', ['ü.png', 'a.b.png'])
def test_names_that_an_lmdb_cannot_hold(source: Path, tmp_path: Path, name: str) -> None:
    (source / 'a.png').rename(source / name)
    with pytest.raises(UserError, match='cannot be a key of an lmdb'):
        run('-i', source, '-o', tmp_path / 'new.lmdb', '--lmdb')
    assert run('-i', source, '-o', tmp_path / 'new') == 0


@pytest.mark.parametrize('arguments', [['new.lmdb', '--lmdb'], ['new', '--crop', '8']])
def test_a_broken_picture_leaves_nothing(source: Path, tmp_path: Path, arguments: list[str]) -> None:
    (source / 'b.jpg').write_bytes(b'no picture')
    with pytest.raises(UserError, match=r'b\.jpg is no readable picture'):
        run('-i', source, '-o', tmp_path / arguments[0], *arguments[1:])
    assert_nothing_left(tmp_path, 'source')


def test_a_place_that_cannot_be_made_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('x')
    with pytest.raises(UserError, match=r'file/new cannot be made \(.*\); give a place that may be written to'):
        run('-i', source, '-o', tmp_path / 'file' / 'new')
