"""``basicsr-snn bench`` from arguments to files and exit status."""
from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import yaml
from basicsr.metrics import calculate_psnr
from trainings import read_csv

from basicsr_snn.cli.main import main

NAMES = ['spikerir_small_color25', 'ffdnet_color']


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """One small picture; the current folder is an empty one."""
    (tmp_path / 'clean').mkdir()
    pixels = np.random.RandomState(0).randint(0, 256, (16, 20, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'clean' / 'a.png'), cv2.GaussianBlur(pixels, (0, 0), 3))
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'clean'


def test_table_in_all_forms(folder, tmp_path, capsys):
    out = tmp_path / 'out' / 'deep'
    files = [f'--md={out}/t.md', f'--csv={out}/t.csv', f'--json={out}/t.json', f'--plot={out}/t.png']
    assert main(['bench', '-n', *NAMES, '-i', str(folder), '--noise', '25', *files]) == 0
    shown = capsys.readouterr()
    assert all(name in shown.out for name in NAMES)
    student, teacher = read_csv(out / 't.csv')
    assert (student['name'], student['spiking'], student['params'], student['D']) == (NAMES[0], 'true', '82935', '32')
    assert (teacher['name'], teacher['spiking'], teacher['params']) == (NAMES[1], 'false', '852108')
    assert float(student['energy_nj_px_fp32']) < float(teacher['energy_nj_px_fp32'])
    assert json.loads((out / 't.json').read_text())['rows'][0]['details']['float_layers'] == ['stem']
    assert '| spikerir_small_color25 | SpikerIR | yes |' in (out / 't.md').read_text()
    assert (out / 't.png').stat().st_size > 10_000


def test_views_are_in_the_name_and_in_the_costs(folder, tmp_path):
    command = ['bench', '-n', NAMES[0], '-i', str(folder), '--noise', '25', '--no-cache', '--csv']
    assert [main([*command, 'once.csv']), main([*command, 'twice.csv', '--views', '2'])] == [0, 0]
    (once,), (twice,) = read_csv(tmp_path / 'once.csv'), read_csv(tmp_path / 'twice.csv')
    assert twice['name'] == 'spikerir_small_color25, 2 views'
    assert float(twice['macs_per_px']) == pytest.approx(2 * float(once['macs_per_px']))
    assert twice['psnr'] != once['psnr']


def test_an_engine_has_scores_and_speed(folder, tmp_path):
    pytest.importorskip('openvino')
    pixels = np.random.RandomState(0).randint(0, 256, (64, 80, 3), dtype=np.uint8)  # a few counts that tip weigh less
    cv2.imwrite(str(folder / 'a.png'), cv2.GaussianBlur(pixels, (0, 0), 3))
    command = ['bench', '-n', 'spikerir_tiny_color25', '-i', str(folder), '--noise', '25', '--views', '2', '--csv']
    assert main([*command, 'torch.csv']) == 0
    assert main([*command, 'fast.csv', '--engine', 'openvino']) == 0
    (there,), (here,) = read_csv(tmp_path / 'fast.csv'), read_csv(tmp_path / 'torch.csv')
    assert (there['name'], there['spiking']) == ('spikerir_tiny_color25, 2 views (openvino)', 'true')
    assert float(there['psnr']) == pytest.approx(float(here['psnr']), abs=0.1)
    assert (there['macs_per_px'], there['error']) == ('', '')
    assert float(there['s_per_mpx']) > 0


def test_rows_are_used_again_until_the_pictures_change(folder, tmp_path, monkeypatch):
    measured = []

    def fake(candidate, pictures, on_picture):
        from basicsr_snn.bench.row import Row

        measured.append(candidate.name)
        return Row(candidate.name, candidate.arch, psnr=30.0)

    monkeypatch.setattr('basicsr_snn.bench.measuring.measure', fake)
    command = ['bench', '-n', NAMES[0], '-i', str(folder), '--noise', '25']
    assert [main(command), main(command)] == [0, 0]
    assert measured == NAMES[:1]
    assert len(list((tmp_path / 'results/bench_cache').iterdir())) == 1
    assert main([*command, '--no-cache']) == 0
    assert main([*command[:-1], '15']) == 0
    assert len(measured) == 3
    assert len(list((tmp_path / 'results/bench_cache').iterdir())) == 2


def test_network_that_fails_is_a_row_with_its_reason(folder, tmp_path, capsys):
    options = {'name': 'mine', 'model_type': 'SNNModel', 'num_gpu': 'auto', 'manual_seed': 0,
               'datasets': {'test': {'name': 'own', 'type': 'GaussianDenoisingDataset', 'dataroot_gt': str(folder),
                                     'sigma': 25}},
               'network_g': {'type': 'SpikerIR', 'size': 'tiny'}, 'path': {'pretrain_network_g': 'gone.pth'},
               'val': {'save_img': False, 'suffix': None}}
    (tmp_path / 'mine.yml').write_text(yaml.safe_dump(options))
    options['datasets']['test']['sigma'] = 15
    (tmp_path / 'other.yml').write_text(yaml.safe_dump({**options, 'name': 'other'}))
    assert main(['bench', '-opt', 'mine.yml', 'other.yml', '-n', NAMES[0], '--csv', 'table.csv']) == 1
    rows = read_csv(tmp_path / 'table.csv')
    assert [row['name'] for row in rows] == ['mine', 'other', NAMES[0]]
    assert 'weight file gone.pth does not exist' in rows[0]['error']
    assert float(rows[2]['psnr']) > 20
    said = capsys.readouterr().err
    assert 'mine failed: weight file gone.pth does not exist' in said
    assert 'other.yml names other pictures; all networks run on those of mine.yml' in said


def test_what_cannot_be_written_costs_no_row(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / 'file').write_text('x')
    bench = ['bench', '-n', NAMES[0], '-i', str(folder), '--noise', '25', '--cache', 'file']
    assert main(bench) == 0
    said = capsys.readouterr()
    assert NAMES[0] in said.out
    assert f'the row of {NAMES[0]} is not kept for later runs' in said.err
    (tmp_path / 'dangling.md').symlink_to(tmp_path / 'gone' / 'table.md')
    assert main([*bench, '--md', 'dangling.md']) == 2
    said = capsys.readouterr()
    assert NAMES[0] in said.out
    assert 'dangling.md cannot be written' in said.err


@pytest.mark.parametrize(('arguments', 'sentence'), [
    ([], 'no network was given; add -opt X.yml, or -n NAME'),
    (['-n', 'ffdnet_color'], 'no pictures were given; add -i FOLDER --noise 25'),
    (['-n', 'ffdnet_colour', '-i', 'clean', '--noise', '25'], 'did you mean ffdnet_color'),
    (['-n', 'ffdnet_color', '-i', 'clean'], '-i and --noise go together'),
    (['-n', 'ffdnet_color', '-i', 'clean', '--noise', '300'], '--noise 300 is no noise level'),
    (['-n', 'ffdnet_color', '-i', 'clean', '--noise', '25', '--pictures', '0'], '--pictures 0 leaves none'),
    (['-n', 'ffdnet_color', '-i', 'clean', '--noise', '25', '--sets', 'x'], '-i takes a folder instead'),
    (['-n', 'ffdnet_color', '-i', 'clean', '--noise', '25', '--plot', 'p.jpeg'], '--plot p.jpeg has no known format'),
    (['-n', 'ffdnet_color', '-i', 'clean', '--noise', '25', '--md', 'clean'], 'clean is a folder'),
    (['-n', 'ffdnet_color', '-i', 'nowhere', '--noise', '25'], 'nowhere'),
])
def test_mistakes_are_one_sentence_and_status_2(arguments, sentence, folder, capsys):
    assert main(['bench', *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count('\n') == 1


def test_bm3d_row(folder, tmp_path):
    pytest.importorskip('bm3d', reason='needs the extra [bench]')
    assert main(['bench', '--bm3d', '-i', str(folder), '--noise', '25', '--csv', 'table.csv', '--no-cache']) == 0
    (row,) = read_csv(tmp_path / 'table.csv')
    assert (row['name'], row['params'], row['energy_nj_px_fp32']) == ('BM3D', '', '')
    assert float(row['psnr']) > 25


def test_pairs_have_a_row_of_their_input(folder, tmp_path):
    (tmp_path / 'given').mkdir()
    clean = cv2.imread(str(folder / 'a.png'))
    given = (clean + np.random.RandomState(0).normal(0, 20, clean.shape)).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / 'given' / 'a.png'), given)
    options = {'name': 'p', 'model_type': 'SNNModel', 'num_gpu': 'auto', 'scale': 1, 'path': {},
               'datasets': {'test_1': {'name': 'rain', 'type': 'PairedImageDataset', 'dataroot_gt': 'clean',
                                       'dataroot_lq': 'given', 'io_backend': {'type': 'disk'}}},
               'network_g': {'type': 'SpikerIR', 'size': 'tiny'}, 'val': {'save_img': False, 'suffix': None}}
    (tmp_path / 'pairs.yml').write_text(yaml.safe_dump(options))
    assert main(['bench', '-opt', 'pairs.yml', '-n', NAMES[0], '--no-cache', '--csv', 'table.csv',
                 '--plot', 'table.png', '--md', 'table.md']) == 0
    first, *others = read_csv(tmp_path / 'table.csv')
    assert [row['name'] for row in others] == ['p', NAMES[0]]
    assert (first['name'], first['params'], first['energy_nj_px_fp32']) == ('input', '', '')
    assert float(first['psnr']) == pytest.approx(calculate_psnr(given, clean, 0), abs=1e-3)
