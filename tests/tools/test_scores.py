"""``tools/scores.py``: rows that the table lacks are measured, others stand."""
from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import scores
from conftest import REPOSITORY
from score_row import Score

from basicsr_snn import zoo
from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder
from basicsr_snn.images.files import write_picture
from basicsr_snn.images.scoring import eight_bits, psnr

TINY = 'spikerir_tiny_color25'


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with two small pictures as CBSD68; the table is of the test, and no page is written."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(scores, 'TABLE', tmp_path / 'scores.csv')
    monkeypatch.setattr(scores, 'write_pages', lambda found: None)
    rng = np.random.default_rng(0)
    for name in ('one', 'two'):
        (tmp_path / 'CBSD68').mkdir(exist_ok=True)
        write_picture(tmp_path / 'CBSD68' / f'{name}.png', rng.integers(60, 200, (24, 32, 3), np.uint8))
    return tmp_path


def measure(data, monkeypatch, *arguments: str) -> dict[str, Score]:
    monkeypatch.setattr(sys, 'argv', ['scores.py', '--data', str(data), '--sigmas', '25', '--sets', 'CBSD68', 'Set12',
                                      *arguments])
    scores.main()
    return {score.name: score for score in scores.read_table()}


def test_what_the_table_lacks_is_measured_and_what_it_has_stands(data, monkeypatch, capsys):
    table = measure(data, monkeypatch, '--names', 'noisy', TINY)
    assert 'Set12 is left out: there is no folder' in capsys.readouterr().out
    assert set(table) == {'noisy', TINY}
    noisy, tiny = table['noisy'], table[TINY]
    assert (noisy.pictures, noisy.weights, noisy.params, noisy.nj_per_px) == (2, '', '', '')
    pictures = EvaluationSet(block_of_folder(data / 'CBSD68', 25, 3))
    expected = np.mean([psnr(eight_bits(given), eight_bits(clean)) for given, clean, _ in pictures])
    assert float(noisy.psnr) == pytest.approx(expected, abs=1e-3)
    assert tiny.weights == zoo.row(TINY).sha256[:8]
    assert tiny.params == '18495'
    assert float(tiny.acs_per_px) > 1000 > float(tiny.macs_per_px) > 0

    scores.write_table([tiny, replace(noisy, psnr='1.000'), replace(noisy, sigma=50, psnr='14.1')])
    again = measure(data, monkeypatch, '--names', 'noisy', TINY)
    assert again[TINY] == tiny
    assert {(score.sigma, score.psnr) for score in scores.read_table() if score.name == 'noisy'} == {
        (25, '1.000'), (50, '14.1')}
    measure(data, monkeypatch, '--names', 'noisy', '--fresh')
    assert {(score.sigma, score.psnr) for score in scores.read_table() if score.name == 'noisy'} == {
        (25, noisy.psnr), (50, '14.1')}


def test_rows_that_another_process_wrote_meanwhile_are_kept(data, monkeypatch):
    other = Score('CBSD68', 25, 'BM3D', '', 68, '30', '', '', '', '', '', '')
    measured = scores.measured

    def measured_beside_another(*given):
        scores.write_table([*scores.read_table(), other])
        return measured(*given)

    monkeypatch.setattr(scores, 'measured', measured_beside_another)
    assert set(measure(data, monkeypatch, '--names', 'noisy')) == {'noisy', 'BM3D'}
