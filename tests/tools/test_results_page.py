"""The tables of the pages."""
from __future__ import annotations

import page
import scores
from score_row import Score

from basicsr_snn import zoo


def test_the_table_of_results_sorts_references_students_teachers():
    def score(name: str, psnr: str, **more: str) -> Score:
        return Score(**{'set': 'CBSD68', 'sigma': 25, 'name': name, 'weights': '', 'pictures': 68, 'psnr': psnr,
                        'ssim': '0.9', 'params': '1000', 'macs_per_px': '', 'acs_per_px': '', 'events_per_neuron': '',
                        'nj_per_px': '5.0', **more})

    table = page._table([score('ffdnet_color', '31.2'), score('spikerir_small_color25', '30.9'),
                         score('spikerir_tiny_color25', '30.4'), score('noisy', '20.5', params='')],
                        ('CBSD68', 'Kodak24'))
    names = [line.split('|')[1].strip() for line in table.splitlines()[2:]]
    assert names == ['noisy', 'spikerir_tiny_color25', 'spikerir_small_color25', 'ffdnet_color']
    assert 'CBSD68 (68)' in table
    assert 'Kodak24' not in table
    assert '| noisy | - |' in table


def test_scores_of_weights_that_no_longer_ship_leave_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(scores, 'TABLE', tmp_path / 'scores.csv')
    ships = zoo.row('spikerir_tiny_color25').sha256[:8]
    rows = [Score('CBSD68', 25, name, weights, 68, '30', '0.9', '1', '', '', '', '')
            for name, weights in (('spikerir_tiny_color25', ships), ('spikerir_tiny_color25, phase-coded', '0' * 8),
                                  ('noisy', ''), ('DnCNN_gray25', 'abcdefab'))]
    scores.write_table(rows)
    assert scores.read_table() == [rows[0], *rows[2:]]
