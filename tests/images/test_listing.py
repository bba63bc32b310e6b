"""What is found in a folder, what is left out of it, and that it is said."""
from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from basicsr.data import build_dataset
from basicsr.utils import get_root_logger

from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import write_picture
from basicsr_snn.images.listing import NAMED, find_pictures, list_pictures


def make(folder: Path, *names: str) -> None:
    for name in names:
        write_picture(folder / name, np.zeros((8, 8, 3), np.uint8))


def names(paths: list[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with one picture, and one entry of each kind that is left out."""
    folder = tmp_path / 'odd'
    make(folder, 'a.png')
    make(folder, 'folder.png/b.png', '.hidden.png')
    (folder / 'notes.txt').touch()
    (folder / 'gone.png').symlink_to('nowhere.png')
    (folder / 'itself.png').symlink_to('itself.png')
    (folder / 'device.png').symlink_to('/dev/null')
    os.mkfifo(folder / 'fifo.png')
    return folder


SAID = ('.hidden.png (hidden)', 'device.png (no plain file)', 'fifo.png (no plain file)', 'folder.png (a folder)',
        'gone.png (a link to nothing: No such file or directory)', 'itself.png (a link to nothing: ',
        'notes.txt (no extension of a picture)')


def test_what_is_left_out_is_counted_and_named(odd: Path) -> None:
    listing = find_pictures(odd)
    said = listing.what_is_left_out()
    assert names(listing.pictures, odd) == ['a.png']
    assert said.startswith(f'7 entries of {odd} left out: ')
    assert [part for part in SAID if part not in said] == []


def test_a_folder_that_is_named_like_a_picture_is_gone_into(odd: Path) -> None:
    listing = find_pictures(odd, recursive=True)
    assert names(listing.pictures, odd) == ['a.png', 'folder.png/b.png']
    assert listing.what_is_left_out().startswith('6 entries')


def test_nothing_is_said_of_nothing(tmp_path: Path) -> None:
    make(tmp_path, 'a.png')
    assert find_pictures(tmp_path).what_is_left_out() is None


def test_the_rest_of_many_is_counted(tmp_path: Path) -> None:
    make(tmp_path, 'a.png')
    for number in range(NAMED + 5):
        (tmp_path / f'{number}.txt').touch()
    said = find_pictures(tmp_path).what_is_left_out()
    assert said.startswith(f'{NAMED + 5} entries')
    assert said.endswith(' and 5 more.')


def test_linked_folders_are_followed_and_no_folder_is_read_twice(tmp_path: Path) -> None:
    make(tmp_path, 'elsewhere/x.png', 'elsewhere/deep/y.png', 'sets/own/a.png')
    sets = tmp_path / 'sets'
    (sets / 'linked').symlink_to(tmp_path / 'elsewhere')
    (sets / 'again').symlink_to(sets / 'own')
    (tmp_path / 'elsewhere' / 'up').symlink_to(sets)
    listing = find_pictures(sets, recursive=True)
    assert names(listing.pictures, sets) == ['linked/deep/y.png', 'linked/x.png', 'own/a.png']
    assert listing.what_is_left_out() == (
        f'2 entries of {sets} left out: again (a link to a folder that is read already), linked/up (a link to a folder '
        'that is read already).')


def test_folders_that_all_link_to_each_other_end(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(12)]
    for folder in folders:
        make(folder, 'a.png')
        for other in folders:
            (folder / f'to{other.name}').symlink_to(other)
    assert len(list_pictures(tmp_path, recursive=True)) == 12


def test_a_folder_of_nothing_but_others_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / 'film.mov').touch()
    with pytest.raises(UserError, match=r'no pictures in .* 1 entry of .* left out: film.mov \(no extension'):
        list_pictures(tmp_path)


def test_data_sets_log_it(odd: Path, caplog: pytest.LogCaptureFixture) -> None:
    get_root_logger().addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.WARNING):
            build_dataset({'name': 'x', 'type': 'GaussianDenoisingDataset', 'phase': 'val', 'sigma': 25,
                           'dataroot_gt': str(odd)})
    finally:
        get_root_logger().removeHandler(caplog.handler)
    assert [part for part in SAID if part not in caplog.text] == []


@pytest.mark.parametrize('command', [['denoise', '-n', 'spikerir_tiny_color25'], ['prepare']])
def test_commands_say_it(odd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    for out in (tmp_path / 'out', odd / 'results'):  # results inside the folder are not counted
        assert main([*command, '-i', str(odd), '-o', str(out)]) == 0
        said = capsys.readouterr().err
        assert f'7 entries of {odd} left out: ' in said
        assert [part for part in SAID if part not in said] == []


def test_recursive_commands_follow_links(tmp_path: Path) -> None:
    make(tmp_path, 'elsewhere/x.png', 'sets/own/a.png')
    (tmp_path / 'sets' / 'linked').symlink_to(tmp_path / 'elsewhere')
    given = ['-i', str(tmp_path / 'sets'), '--recursive', '-o', str(tmp_path / 'out')]
    assert main(['denoise', '-n', 'spikerir_tiny_color25', *given]) == 0
    assert names(list_pictures(tmp_path / 'out', recursive=True), tmp_path / 'out') == ['linked/x.png', 'own/a.png']
    assert main(['prepare', *given[:-1], str(tmp_path / 'gathered')]) == 0
    assert names(list_pictures(tmp_path / 'gathered'), tmp_path / 'gathered') == ['a.png', 'x.png']
