"""The tables of the pages."""
from __future__ import annotations

import numpy as np
import page
import scores
import task_score
import tasks
from score_row import Score
from task_score import TaskScore

from basicsr_snn import zoo
from basicsr_snn.images.files import write_picture


def test_the_table_of_results_sorts_references_students_teachers():
    def score(name: str, psnr: str, **more: str) -> Score:
        return Score(**{'set': 'CBSD68', 'sigma': 25, 'name': name, 'weights': '', 'pictures': 68, 'psnr': psnr,
                        'ssim': '0.9', 'params': '1000', 'macs_per_px': '', 'acs_per_px': '', 'events_per_neuron': '',
                        'nj_per_px': '5.0', **more})

    table = page._table([score('ffdnet_color', '31.2'), score('spikerir_small_color25', '30.9'),
                         score('spikerir_tiny_color25', '30.4'), score('noisy', '20.5', params=''),
                         score('ffdnet_color', '32.0', set='Kodak24', pictures=24)], ('CBSD68', 'Kodak24', 'McMaster'))
    names = [line.split('|')[1].strip() for line in table.splitlines()[2:]]
    assert names == ['noisy', 'spikerir_tiny_color25', 'spikerir_small_color25', 'ffdnet_color']
    assert table.splitlines()[0].endswith('| CBSD68 (68) | Kodak24 (24) |')
    assert '| noisy | - | 5.0 | - | 20.50 / 0.9000 | - |' in table


def test_scores_of_weights_that_no_longer_ship_leave_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(scores, 'TABLE', tmp_path / 'scores.csv')
    ships = zoo.row('spikerir_tiny_color25').sha256[:8]
    rows = [Score('CBSD68', 25, name, weights, 68, '30', '0.9', '1', '', '', '', '')
            for name, weights in (('spikerir_tiny_color25', ships), ('spikerir_tiny_color25, phase-coded', '0' * 8),
                                  ('noisy', ''), ('DnCNN_gray25', 'abcdefab'))]
    scores.write_table(rows)
    assert scores.read_table() == [rows[0], *rows[2:]]


def test_the_table_of_a_task_sets_the_sets_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setattr(task_score, 'TABLE', tmp_path / 'tasks.csv')
    task_score.write_table([
        TaskScore('derain', 'Rain100H', 'input', '', 25, '11.794', '0.3500', '13.240', '0.3900'),
        TaskScore('derain', 'mine', 'input', '', 2, '20.000', '0.7000'),
        TaskScore('jpeg', 'CBSD68_q10', 'input', '', 68, '25.000', '0.7000')])
    assert page.table('task derain', []).splitlines() == [
        '| network | params | nJ/px | Rain100H (25) | Rain100H, luminance | mine (2) |',
        '| --- | ---: | ---: | ---: | ---: | ---: |',
        '| input | - | - | 11.79 / 0.3500 | 13.24 / 0.3900 | 20.00 / 0.7000 |']


def test_the_input_of_a_task_is_scored_by_the_metrics_of_its_option_file(tmp_path, monkeypatch):
    picture = np.full((40, 48, 3), 100, np.uint8)
    for folder, pixels in (('clean', picture), ('rainy', picture + 10)):
        write_picture(tmp_path / folder / '1.png', pixels)
    block = {'name': 'pairs', 'type': 'PairedImageDataset', 'scale': 1, 'io_backend': {'type': 'disk'},
             'dataroot_gt': str(tmp_path / 'clean'), 'dataroot_lq': str(tmp_path / 'rainy')}
    score = tasks.measured('derain', None, block)
    assert (score.name, score.pictures, score.psnr) == ('input', 1, f'{20 * np.log10(25.5):.3f}')
    assert float(score.psnr_y) > float(score.psnr)  # the luminance spans 219 of 255 values
