"""``basicsr-snn denoise`` with many files: inputs, patterns, one file, what exists, Ctrl-C, the report."""
from __future__ import annotations

import io
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from denoising import denoise, read, save, smooth_picture

from basicsr_snn.cli import denoise_batch
from basicsr_snn.inference import denoising


@pytest.fixture
def pictures(tmp_path, monkeypatch) -> Path:
    """``in/`` with a.png, b.png, notes.txt and sub/c.png, seen from the folder above."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(('a.png', 'b.png', 'sub/c.png')):
        save(tmp_path / 'in' / name, smooth_picture(9, 12, 3, seed=seed))
    (tmp_path / 'in' / 'notes.txt').touch()
    return tmp_path / 'in'


def written(folder: str = 'out') -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob('*') if path.is_file())


@pytest.mark.parametrize(('inputs', 'results'), [
    (('in/a.png', 'in/b.png'), ['a.png', 'b.png']),
    (('in/a.png', '-i', 'in/sub'), ['a.png', 'c.png']),
    (('in/*.png',), ['a.png', 'b.png']),
    (('in/**/*.png',), ['a.png', 'b.png', 'sub/c.png']),
    (('in/[bx].*', 'in/b.png'), ['b.png']),
    (('in/a.png', 'in/b.png', 'in/notes.txt'), ['a.png', 'b.png']),
])
def test_several_inputs_and_patterns(pictures, small, inputs, results):
    assert denoise('-i', *inputs, '-o', 'out', *small) == 0
    assert written() == results


def test_what_is_no_picture_is_left_out_in_one_line(pictures, small, capsys):
    assert denoise('-i', 'in', 'in/notes.txt', '-o', 'out', '--recursive', *small) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if 'left out' in line]
    assert lines == ['1 entry of in left out: notes.txt (no extension of a picture). in/notes.txt left out (no '
                     'extension of a picture).']


def test_a_pattern_does_not_meet_results(pictures, small, capsys):
    for existing in ((), ('--overwrite',)):
        assert denoise('-i', '**/*.png', '-o', 'in/out', *existing, *small) == 0
        assert '3 of 3 pictures' in capsys.readouterr().out


@pytest.mark.parametrize(('inputs', 'sentence'), [
    (('in/*.jpg',), '-i in/*.jpg meets no picture'),
    (('in/a.png', 'in/c.png'), '-i in/c.png does not exist'),
    (('in/notes.txt', 'small.yml'), 'none of the files behind -i has the extension of a picture'),
])
def test_inputs_that_are_no_pictures(pictures, small, capsys, inputs, sentence):
    Path('small.yml').touch()
    assert denoise('-i', *inputs, '-o', 'out', *small) == 2
    assert sentence in capsys.readouterr().err


def test_one_picture_may_name_its_result(pictures, small, capsys):
    assert denoise('-i', 'in/a.png', '-o', 'out/new/clean.jpg', *small) == 0
    assert written() == ['new/clean.jpg']
    before = Path('out/new/clean.jpg').read_bytes()
    assert denoise('-i', 'in/b.png', '-o', 'out/new/clean.jpg', *small) == 2
    assert 'add --overwrite to replace it, --skip-existing to keep it' in capsys.readouterr().err
    assert denoise('-i', 'in/b.png', '-o', 'out/new/clean.jpg', '--skip-existing', *small) == 0
    assert Path('out/new/clean.jpg').read_bytes() == before
    assert denoise('-i', 'in/b.png', '-o', 'out/new/clean.jpg', '--overwrite', *small) == 0
    assert Path('out/new/clean.jpg').read_bytes() != before


@pytest.mark.parametrize(('arguments', 'sentence'), [
    ('-i in -o clean.png', '-o clean.png names a picture, but results go to a folder'),
    ('-i in/a.png in/b.png -o clean.png', '-o clean.png names a picture, but results go to a folder'),
    ('-i in/a.png -o clean.png --suffix x', 'names the result already; leave out --suffix and --ext'),
    ('-i in/a.png -o in/a.png --overwrite', 'would overwrite an input'),
    ('-i in/a.png -o in/notes.txt', 'is a file, but results go to a folder'),
    ('-i in/a.png -o out -t 3', 'a tile of 3 pixels would be nearly all overlap; write 16 or more'),
    ('-i in/a.png -o out --quality 0', "'0' is no quality; write a whole number from 1 to 100"),
    ('-i in/a.png -o out --strength 2.1', "'2.1' is no strength; write a number from 0 (no change) to 2"),
    ('-i in/a.png -o out --sigma automatic', "'automatic' is no noise level"),
    ('-i in/a.png -o out --skip-existing --overwrite', 'not allowed with argument'),
    ('-i in/a.png -o out --device cuda', '--device cuda was given, but torch finds no GPU here'),
])
def test_mistakes_are_explained(pictures, small, monkeypatch, capsys, arguments, sentence):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert denoise(*arguments.split(), *small) == 2
    assert sentence in capsys.readouterr().err
    assert not Path('out').exists()
    assert not Path('clean.png').exists()


def test_pictures_whose_results_exist_can_be_left_out(pictures, small, capsys):
    assert denoise('-i', 'in/a.png', '-o', 'out', *small) == 0
    before = Path('out/a.png').stat().st_mtime_ns
    assert denoise('-i', 'in', '-o', 'out', '--skip-existing', *small) == 0
    told = capsys.readouterr()
    assert '1 of 1 pictures written to out' in told.out.splitlines()[-1]
    assert '1 more left out, whose results exist.' in told.err
    assert Path('out/a.png').stat().st_mtime_ns == before
    assert written() == ['a.png', 'b.png']


def test_ctrl_c_keeps_what_is_done_and_says_so_in_one_line(pictures, small, monkeypatch, capsys):
    whole = denoising.restore_picture
    count = []

    def interrupted(*arguments, **options):
        if count:
            raise KeyboardInterrupt
        count.append(1)
        return whole(*arguments, **options)

    monkeypatch.setattr(denoising, 'restore_picture', interrupted)
    assert denoise('-i', 'in', '-o', 'out', '--recursive', *small) == 130
    told = capsys.readouterr()
    assert written() == ['a.png']
    assert told.out == ''
    assert 'stopped: 1 of 3 pictures written to out; the same command with --skip-existing does the rest.' in told.err
    assert 'Traceback' not in told.err


def test_the_report_for_programs(pictures, small, capsys):
    (pictures / 'bad.png').write_bytes(b'no picture')
    save(Path('out/b.png'), smooth_picture(9, 12, 3))
    assert denoise('-i', 'in', '-o', 'out', '--skip-existing', '--noise', 25, '--gt', '--json', *small) == 1
    report = json.loads(capsys.readouterr().out)
    assert {key: report[key] for key in ('written', 'skipped', 'failed', 'interrupted')} == {
        'written': 1, 'skipped': 1, 'failed': 1, 'interrupted': False}
    by_name = {Path(one['input']).name: one for one in report['pictures']}
    assert by_name['a.png']['output'] == 'out/a.png'
    assert (by_name['a.png']['width'], by_name['a.png']['height'], by_name['a.png']['bits']) == (12, 9, 8)
    assert by_name['a.png']['scores']['noisy_psnr'] == pytest.approx(20, abs=1.5)
    assert 'no readable picture' in by_name['bad.png']['reason']
    assert by_name['b.png']['status'] == 'skipped'


def test_what_no_number_tells_is_null_for_programs(pictures, small, capsys):
    assert denoise('-i', 'in', '-o', 'out', '--noise', 0, '--gt', '--json', *small) == 0
    report = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert report['pictures'][0]['scores']['noisy_psnr'] is None  # infinite


def test_tiles_of_a_large_picture_are_counted(pictures, small, monkeypatch):
    advanced = []

    class Bars:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def add_task(self, name, total):
            advanced.append([name, total, 0])
            return len(advanced) - 1

        def advance(self, task, count=1):
            advanced[task][2] += count

        def remove_task(self, task):
            pass

    monkeypatch.setattr(denoise_batch, 'progress_bars', lambda console: Bars())
    save(Path('large.png'), smooth_picture(50, 70, 3))
    assert denoise('-i', 'large.png', '-o', 'out', '-t', 16, '--tile_pad', 4, *small) == 0
    (_, pictures_, done), (name, tiles, tiles_done) = advanced
    assert (pictures_, done, name) == (1, 1, 'large.png')
    assert tiles == tiles_done > 4


@pytest.mark.parametrize('strength', [0, 0.5, 2])
def test_strength_scales_the_change(pictures, small, strength):
    assert denoise('-i', 'in/a.png', '-o', 'whole', *small) == 0
    assert denoise('-i', 'in/a.png', '-o', 'out', '--strength', strength, *small) == 0
    given, full, scaled = (read(Path(folder) / 'a.png').astype(float) for folder in ('in', 'whole', 'out'))
    assert not np.array_equal(given, full)
    inside = (full > 0) & (full < 255)  # elsewhere the whole change was cut
    np.testing.assert_allclose(scaled[inside], np.clip(given + strength * (full - given), 0, 255)[inside], atol=1.51)


def test_the_level_of_each_picture_is_estimated_and_told(tmp_path, capsys):
    clean = cv2.resize(smooth_picture(16, 16, 3), (128, 128)).astype(float)
    for name, sigma in (('weak', 10), ('strong', 26), ('grey', 40)):
        noisy = clean if name != 'grey' else clean[..., 0]
        noisy = noisy / 2 + 64 + np.random.default_rng(0).normal(0, sigma, noisy.shape)
        save(tmp_path / 'in' / f'{name}.png', noisy.round().clip(0, 255).astype(np.uint8))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '--sigma', 'auto', '--json') == 0
    told = capsys.readouterr()
    report = {Path(one['input']).stem: one for one in json.loads(told.out)['pictures']}
    assert report['strong']['network'] == 'spikerir_small_color25'
    assert report['weak']['network'] == 'spikerir_small_colorblind'
    assert report['grey']['network'].startswith('spikerir_small_gray25, at 0.6')
    assert told.err.count('noise level estimated as') == 3
    again = '-i', tmp_path / 'in', '-o', tmp_path / 'out', '--overwrite', '--sigma', 'auto'
    assert denoise(*again, '-n', 'ffdnet_color') == 0
    assert denoise(*again, '-n', 'dncnn_color_blind') == 2
    assert '--sigma auto was given, but the network takes no noise level' in capsys.readouterr().err


@pytest.mark.parametrize('through_link', [False, True])
def test_inputs_are_never_overwritten(tmp_path, small, capsys, through_link):
    save(tmp_path / 'in' / 'a.png', smooth_picture(9, 12, 3))
    before = (tmp_path / 'in' / 'a.png').read_bytes()
    output = tmp_path / 'in'
    if through_link:
        output = tmp_path / 'link'
        output.symlink_to(tmp_path / 'in', target_is_directory=True)
    assert denoise('-i', tmp_path / 'in', '-o', output, *small) == 2
    assert 'would overwrite an input; choose another folder with -o' in capsys.readouterr().err
    assert (tmp_path / 'in' / 'a.png').read_bytes() == before


def test_hard_link_to_the_input_is_not_overwritten(tmp_path, small):
    save(tmp_path / 'in' / 'a.png', smooth_picture(9, 12, 3))
    (tmp_path / 'out').mkdir()
    os.link(tmp_path / 'in' / 'a.png', tmp_path / 'out' / 'a.png')
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', *small) == 2


def test_suffix_allows_the_same_folder(tmp_path, small):
    save(tmp_path / 'in' / 'a.png', smooth_picture(9, 12, 3))
    before = (tmp_path / 'in' / 'a.png').read_bytes()
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'in', '--suffix', 'clean', *small) == 0
    assert (tmp_path / 'in' / 'a.png').read_bytes() == before
    assert read(tmp_path / 'in' / 'a_clean.png').shape == (9, 12, 3)


def test_a_suffix_may_not_hit_another_input(tmp_path, small):
    for name in ('a.png', 'a_clean.png'):
        save(tmp_path / 'in' / name, smooth_picture(9, 12, 3))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'in', '--suffix', 'clean', *small) == 2


def test_two_results_of_one_name_are_refused(tmp_path, small, capsys):
    for name in ('a.png', 'a.bmp'):
        save(tmp_path / 'in' / name, smooth_picture(9, 12, 3))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '--ext', 'png', *small) == 2
    assert 'would both be written to' in capsys.readouterr().err
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', *small) == 0
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['a.bmp', 'a.png']


def test_extension_can_be_chosen(tmp_path, small):
    save(tmp_path / 'in' / 'a.bmp', smooth_picture(9, 12, 3))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '--ext', 'TIF', *small) == 0
    assert read(tmp_path / 'out' / 'a.tif').shape == (9, 12, 3)


def test_extension_that_cannot_hold_the_picture_is_a_failure(tmp_path, small, capsys):
    save(tmp_path / 'in' / 'a.png', smooth_picture(9, 12, 3, bits=16))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', '--ext', 'jpg', *small) == 1
    assert 'cannot hold 16 bits' in capsys.readouterr().err


def test_sub_folders_are_kept_and_results_not_read_again(tmp_path, small, capsys):
    for name in ('a.png', 'x/a.png', 'x/y/b.png'):
        save(tmp_path / 'in' / name, smooth_picture(9, 12, 3))
    output = tmp_path / 'in' / 'out'
    for existing in ((), ('--overwrite',)):
        assert denoise('-i', tmp_path / 'in', '-o', output, '--recursive', *existing, *small) == 0
        assert '3 of 3 pictures' in capsys.readouterr().out
    assert sorted(path.relative_to(output).as_posix() for path in output.rglob('*.png')) == [
        'a.png', 'x/a.png', 'x/y/b.png']


def test_sub_folders_are_left_alone_unless_asked_for(tmp_path, small):
    for name in ('a.png', 'x/b.png'):
        save(tmp_path / 'in' / name, smooth_picture(9, 12, 3))
    assert denoise('-i', tmp_path / 'in', '-o', tmp_path / 'out', *small) == 0
    assert [path.name for path in (tmp_path / 'out').rglob('*.png')] == ['a.png']


@pytest.fixture
def restored_before(pictures, small) -> dict[str, bytes]:
    """Results of a.png and sub/c.png, of three pictures; their contents by name."""
    assert denoise('-i', 'in/a.png', '-o', 'out', *small) == 0
    assert denoise('-i', 'in/sub', '-o', 'out/sub', *small) == 0
    return {name: Path('out', name).read_bytes() for name in written()}


def at_a_terminal(monkeypatch, answer: str) -> None:
    """Somebody who answers sits there."""
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, 'isatty', lambda: True)
    monkeypatch.setattr('sys.stdin', terminal)
    monkeypatch.setattr('sys.stderr.isatty', lambda: True, raising=False)


def test_results_that_exist_are_refused_before_any_work(restored_before, small, capsys):
    refused = '-i', 'in', '-o', 'out', '--recursive', '--strength', '2', *small
    assert denoise(*refused) == 2
    assert ('2 of 3 results exist in out, such as a.png; add --overwrite to replace them, --skip-existing to keep '
            'them, or choose another folder with -o.') in capsys.readouterr().err
    assert {name: Path('out', name).read_bytes() for name in written()} == restored_before
    assert denoise('-i', 'in/a.png', '-o', 'out', *small) == 2
    assert 'out/a.png exists; add --overwrite to replace it, --skip-existing to keep it' in capsys.readouterr().err
    assert denoise('-i', 'in', '-o', 'out', *small) == 2
    assert '1 of 2 results exists in out, such as a.png; add --overwrite to replace it' in capsys.readouterr().err
    assert denoise(*refused, '--overwrite') == 0
    assert len(written()) == 3
    assert all(Path('out', name).read_bytes() != content for name, content in restored_before.items())


@pytest.mark.parametrize(('answer', 'status', 'count', 'kept'), [
    ('o\n', 0, 3, False), ('Skip\n', 0, 3, True), ('q\n', 2, 2, True), ('\n', 2, 2, True), ('', 2, 2, True)])
def test_at_a_terminal_results_that_exist_are_asked_about(restored_before, small, monkeypatch, capsys, answer, status,
                                                          count, kept):
    at_a_terminal(monkeypatch, answer)
    assert denoise('-i', 'in', '-o', 'out', '--recursive', '--strength', '2', *small) == status
    assert '2 of 3 results exist in out, such as a.png. [o]verwrite, [s]kip or [q]uit? ' in capsys.readouterr().err
    assert len(written()) == count
    assert {Path('out', name).read_bytes() == content for name, content in restored_before.items()} == {kept}


def test_a_program_that_reads_json_is_not_asked(restored_before, small, monkeypatch, capsys):
    at_a_terminal(monkeypatch, 'o\n')
    assert denoise('-i', 'in', '-o', 'out', '--json', *small) == 2
    assert 'results exists in out' in capsys.readouterr().err
