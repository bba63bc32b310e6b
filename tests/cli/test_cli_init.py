"""``basicsr-snn init``: what it lays out, and that it never overwrites what the user changed."""
from __future__ import annotations

from pathlib import Path

import pytest

from basicsr_snn import installation
from basicsr_snn.cli import init
from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]
CHANGED = Path('options/train/demo.yml')


def shipped_names() -> set[Path]:
    files = [*REPOSITORY.glob('options/**/*.yml'), *REPOSITORY.glob('datasets/demo/**/*.*'),
             REPOSITORY / 'datasets' / 'README.md']
    return {file.relative_to(REPOSITORY) for file in files}


def laid_out_in(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob('*') if file.is_file()}


def test_all_option_files_and_demo_pictures_are_laid_out(tmp_path, capsys):
    folder = tmp_path / 'new' / 'work'
    assert main(['init', str(folder)]) == 0
    assert laid_out_in(folder) == {name: (REPOSITORY / name).read_bytes() for name in shipped_names()}
    options = sum(name.suffix == '.yml' for name in shipped_names())
    said = capsys.readouterr().out
    assert said.startswith(f'{options} option files and 12 files of demo pictures are in {folder}; ')
    assert f'cd {folder} && basicsr-snn train -opt options/train/demo.yml' in said


def test_nothing_is_written_where_a_file_was_changed(tmp_path, capsys):
    (tmp_path / CHANGED).parent.mkdir(parents=True)
    (tmp_path / CHANGED).write_text('name: mine\n')
    assert main(['init', str(tmp_path)]) == 2
    assert capsys.readouterr().err == (f'basicsr-snn: {tmp_path / CHANGED} exists and is not what ships; nothing was '
                                       'written: type --force to replace it, or give another folder.\n')
    assert laid_out_in(tmp_path) == {CHANGED: b'name: mine\n'}


def test_the_sentence_counts_the_other_changed_files(tmp_path):
    init.lay_out(tmp_path)
    for name in (CHANGED, Path('datasets/README.md')):
        (tmp_path / name).write_text('mine')
    with pytest.raises(UserError, match=r'demo\.yml \(and 1 more\) exists'):
        init.lay_out(tmp_path)


def test_force_replaces_what_was_changed_and_leaves_other_files(tmp_path):
    init.lay_out(tmp_path)
    (tmp_path / CHANGED).write_text('name: mine\n')
    own = tmp_path / 'options' / 'mine.yml'
    own.write_text('name: own\n')
    assert main(['init', str(tmp_path), '--force']) == 0
    assert (tmp_path / CHANGED).read_bytes() == (REPOSITORY / CHANGED).read_bytes()
    assert own.read_text() == 'name: own\n'


def test_a_link_to_pictures_of_others_is_followed_only_if_asked(tmp_path, capsys):
    pictures, folder = tmp_path / 'disk', tmp_path / 'work'
    pictures.mkdir()
    folder.mkdir()
    (folder / 'datasets').symlink_to(pictures)
    assert main(['init', str(folder)]) == 2
    assert f'datasets is a link to {pictures}, where files would be laid out' in capsys.readouterr().err
    assert not list(pictures.iterdir())
    assert not (folder / 'options').exists()
    assert main(['init', str(folder), '--force']) == 0
    assert (pictures / 'demo').is_dir()


def test_a_second_time_brings_back_only_what_is_missing(tmp_path):
    init.lay_out(tmp_path)
    before = (tmp_path / 'datasets' / 'README.md').stat().st_mtime_ns
    (tmp_path / CHANGED).unlink()
    assert main(['init', str(tmp_path)]) == 0
    assert (tmp_path / CHANGED).is_file()
    assert (tmp_path / 'datasets' / 'README.md').stat().st_mtime_ns == before


def test_a_folder_of_what_ships_stays_as_it_is(tmp_path):
    init.lay_out(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob('*') if file.is_file()}
    assert main(['init', str(tmp_path), '--force']) == 0
    assert {file: file.read_bytes() for file in tmp_path.rglob('*') if file.is_file()} == before


@pytest.mark.parametrize('place', ['file', 'file/inside'])
def test_a_folder_that_cannot_be_made_is_one_sentence(place, tmp_path, capsys):
    (tmp_path / 'file').touch()
    assert main(['init', str(tmp_path / place)]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert f'{tmp_path / place} cannot be filled (' in error
    assert 'give a folder that may be written to' in error


def test_an_installation_without_option_files_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, 'package_folder', lambda: tmp_path / 'basicsr_snn')
    with pytest.raises(UserError, match='lacks the option files; install basicsr_snn again'):
        init.lay_out(tmp_path)


def test_a_wheel_reads_its_own_copies(tmp_path, monkeypatch):
    share = tmp_path / 'basicsr_snn' / 'share'
    (share / 'options' / 'train').mkdir(parents=True)
    (share / installation.FIRST_OPTIONS).write_text('name: shipped\n')
    monkeypatch.setattr(installation, 'package_folder', lambda: tmp_path / 'basicsr_snn')
    assert init.lay_out(tmp_path / 'work') == [Path(installation.FIRST_OPTIONS)]
