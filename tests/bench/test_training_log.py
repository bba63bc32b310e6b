"""What the logs of a training tell: hours, paces, the curve of its validations."""
from __future__ import annotations

import math

import pytest

from basicsr_snn.bench.training_log import TrainingLog, read_training_log

LOG = """2026-11-25 10:00:00,000 INFO: Start training
2026-11-25 10:00:10,000 INFO: [x..][epoch:  0, iter:     500, lr:(1e-3,)] l_pix: 1e-2
2026-11-25 10:00:20,000 INFO: [x..][epoch:  0, iter:   1,000, lr:(1e-3,)] l_pix: 1e-2
2026-11-25 10:00:50,000 INFO: Validation V
\t # psnr: 29.5000\tBest: 29.5000 @ 1000 iter

2026-11-25 10:00:50,500 INFO: Cost on V (2 pictures counted)
\t # SynOps: 12,345 ACs/px, 300 MACs/px

2026-11-25 10:01:00,500 INFO: [x..][epoch:  0, iter:   1,500, lr:(1e-3,)] l_pix: 1e-2
"""
RESUMED = """2026-11-25 12:00:00,000 INFO: Resuming
2026-11-25 12:00:30,000 INFO: [x..][epoch:  0, iter:   2,000, lr:(1e-3,)] l_pix: 1e-2
2026-11-25 12:00:50,000 INFO: Validation V
\t # psnr: 30.2500\tBest: 30.2500 @ 2001 iter

2026-11-25 12:00:50,500 INFO: Cost on V (2 pictures counted)
\t # SynOps: 23,456 ACs/px, 300 MACs/px
"""


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / 'train_x_1.log').write_text(LOG)
    (tmp_path / 'train_x_2.log').write_text(RESUMED)
    return tmp_path


def test_logs_of_a_training_add_up_the_hours_of_all_runs_and_keep_the_curve(experiment):
    log = read_training_log(experiment)
    assert log.hours * 3600 == pytest.approx(60.5 + 50.5)
    assert log.curve == [(1000, 29.5), (2000, 30.25)]


def test_the_pace_leaves_out_validations_and_what_was_slowed(experiment):
    assert read_training_log(experiment).seconds(1000) == pytest.approx(20)
    (experiment / 'train_x_1.log').write_text(LOG.replace('10:01:00,500', '10:03:00,500'))
    assert read_training_log(experiment).seconds(1000) == pytest.approx(20)


def test_a_folder_without_logs_has_no_pace(tmp_path):
    log = read_training_log(tmp_path)
    assert (log.hours, log.curve) == (0, [])
    assert math.isnan(log.seconds(1))


def test_each_phase_of_a_training_has_its_own_pace():
    log = TrainingLog(0, [(100, 0.2), (200, 0.3), (300, 0.1), (400, 0.1)], [])
    assert log.seconds(400) == pytest.approx(40)
    assert log.seconds(400, [200]) == pytest.approx(200 * 0.2 + 200 * 0.1)
    assert log.seconds(150, [200]) == pytest.approx(150 * 0.2)
