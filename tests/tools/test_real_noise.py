"""``tools/real_noise.py``: gains and harm on pairs, and the lines that it keeps."""
from __future__ import annotations

import numpy as np
import pytest
import real_noise
from conftest import REPOSITORY

from basicsr_snn.images.files import write_picture
from basicsr_snn.images.scoring import psnr


@pytest.fixture
def pairs() -> list[real_noise.Pair]:
    rng = np.random.default_rng(0)
    truths = [rng.integers(20, 230, (32, 40, 3), np.uint8) for _ in range(2)]
    return [(truth + np.uint8(step), truth) for step, truth in zip((10, 4), truths, strict=True)]


def test_a_line_tells_the_mean_the_worst_gain_and_how_many_lost(pairs):
    def restored(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
        return picture - np.uint8(5) if (picture - truth).mean() > 5 else picture + np.uint8(4)

    line = real_noise.line('pairs', 'mine', pairs, restored)
    before, after = [20 * np.log10(255 / step) for step in (10, 4)], [20 * np.log10(255 / step) for step in (5, 8)]
    assert (line.part, line.name, line.pictures, line.worse) == ('pairs', 'mine', 2, 1)
    assert line.psnr == pytest.approx(np.mean(after))
    assert line.least_gain == pytest.approx(after[1] - before[1])


def test_a_clean_picture_has_no_gain_but_what_is_left_of_it(pairs):
    truth = pairs[0][1]
    line = real_noise.line('clean', 'mine', [(truth, truth)], lambda picture, _: picture + np.uint8(1))
    assert line.psnr == line.least_gain == pytest.approx(20 * np.log10(255))
    assert line.worse == 0


def test_the_best_of_several_answers_is_the_one_nearest_to_the_truth(pairs):
    picture, truth = pairs[0]
    best = real_noise.best_of([lambda picture, truth: picture, lambda picture, truth: picture - np.uint8(8)])
    assert psnr(best(picture, truth), truth) == pytest.approx(20 * np.log10(255 / 2))


def test_grey_lines_are_written_anew_and_the_others_stay(tmp_path, monkeypatch, pairs):
    monkeypatch.setattr(real_noise, 'TABLE', tmp_path / 'table.csv')
    monkeypatch.setattr(real_noise, 'RESULTS', tmp_path)
    monkeypatch.setattr(real_noise, 'GREY_COMMANDS', {'denoise --sigma 25': {'sigma': 25}})
    monkeypatch.chdir(REPOSITORY)
    (tmp_path / 'real-noise.md').write_text('A page without tables.\n')
    real_noise.write([real_noise.Line('pairs', 'denoise', 2, 30.0, 1.0, 0),
                      real_noise.Line(real_noise.GREY, 'old', 2, 30.0, 1.0, 0)])
    grey = list(real_noise.measure_grey(real_noise.in_grey(pairs)))
    real_noise.write(grey, real_noise.read_others())
    rows = real_noise.TABLE.read_text().splitlines()
    assert rows[1] == 'pairs,denoise,2,30.00,1.00,0'
    assert [row.split(',')[:3] for row in rows[2:]] == [['grey pairs', 'as it is', '2'],
                                                        ['grey pairs', 'denoise --sigma 25', '2']]
    assert (tmp_path / 'real-noise.md').read_text() == 'A page without tables.\n'


def test_scenes_that_a_training_saw_are_left_out(tmp_path):
    for place, scene in enumerate(('toy', 'plant')):
        for kind in ('real', 'mean'):
            write_picture(tmp_path / f'{scene}_{place}_{kind}.png', np.full((16, 16, 3), 100 + place, np.uint8))
    found = real_noise.real_pairs(tmp_path, (0, 2))
    assert len(found) == 1
    assert all((one == 101).all() for one in found[0])
