"""Many views of a picture: what the mean answer is, through tiles, counters and the command."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.cli.main import main
from basicsr_snn.energy import OperationCounter
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import Restorer, as_restorer
from basicsr_snn.inference.self_ensemble import TURNS_AND_FLIPS, VIEWS, SelfEnsemble, turn, turn_back
from basicsr_snn.inference.tiling import tiled_forward


class Position(Restorer):
    """Adds the number of the column to every pixel."""

    in_ch = 1

    def forward(self, picture):
        return picture + torch.arange(picture.shape[-1], dtype=picture.dtype)


class Level(Restorer):
    """Answers with the noise level that it is told."""

    in_ch = 1
    takes_sigma = True

    def forward(self, picture, sigma=0.0):
        return torch.full_like(picture, sigma)


@pytest.fixture
def student():
    torch.manual_seed(0)
    return SpikerIR(channels=[4, 6, 8], blocks=[1, 1, 1]).eval()


def test_all_views_are_different_and_come_back():
    picture = torch.arange(12.).view(1, 1, 3, 4)
    views = [turn(picture, *view) for view in TURNS_AND_FLIPS]
    assert len({(one.shape, tuple(one.flatten().tolist())) for one in views}) == 8
    for one, view in zip(views, TURNS_AND_FLIPS, strict=True):
        assert torch.equal(turn_back(one, *view), picture)


def test_a_half_turn_takes_back_what_depends_on_the_column():
    answer = SelfEnsemble(Position(), 2)(torch.zeros(1, 1, 3, 5))
    assert torch.equal(answer, torch.full((1, 1, 3, 5), 2.))


def test_all_eight_give_the_mean_that_numpy_gives(student):
    picture = torch.rand(1, 3, 16, 12)
    expected = np.zeros((16, 12, 3), np.float32)
    for turns in range(4):
        for flip in (False, True):
            view = np.rot90(picture[0].permute(1, 2, 0).numpy(), turns)
            view = np.fliplr(view) if flip else view
            with torch.no_grad():
                answer = student(torch.from_numpy(view.copy()).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
            expected += np.rot90(np.fliplr(answer) if flip else answer, -turns) / 8
    with torch.no_grad():
        found = SelfEnsemble(student, 8)(picture)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_answer_turns_with_the_picture(student):
    picture, net = torch.rand(1, 3, 16, 16), SelfEnsemble(student, 8)
    with torch.no_grad():
        for view in TURNS_AND_FLIPS:
            assert torch.allclose(net(turn(picture, *view)), turn(net(picture), *view), atol=1e-5)


def test_tiles_of_any_size_leave_no_seam(student):
    picture, net = torch.rand(1, 3, 93, 102), SelfEnsemble(student, 8)
    assert net.receptive_field == student.receptive_field
    with torch.no_grad():
        whole = net(picture)
    assert torch.allclose(tiled_forward(net, picture, 24, net.receptive_field), whole, atol=1e-5)


def test_the_noise_level_is_passed_on():
    assert SelfEnsemble(Level(), 4)(torch.zeros(1, 1, 4, 6), sigma=25.0).eq(25).all()


def test_operations_of_all_views_are_counted(student):
    picture = torch.rand(1, 3, 16, 16)
    reports = []
    for net in (student, SelfEnsemble(student, 4)):
        with torch.no_grad(), OperationCounter(net) as counter:
            net(picture)
        reports.append(counter.report())
    once, four = reports
    assert four.macs_per_px == pytest.approx(4 * once.macs_per_px)
    assert four.acs_per_px == pytest.approx(4 * once.acs_per_px, rel=0.02)
    assert four.params == once.params


def test_other_numbers_of_views_are_refused():
    with pytest.raises(UserError, match='3 views were asked for; a picture has 1, 2, 4 or 8'):
        SelfEnsemble(as_restorer(nn.Identity()), 3)


def test_the_command_takes_views(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    cv2.imwrite('grey.png', rng.integers(0, 256, (21, 18), np.uint8))
    for views in VIEWS[::3]:
        assert main(['denoise', '-i', 'grey.png', '-o', f'out{views}', '--views', str(views)]) == 0
    once, eight = (cv2.imread(f'out{views}/grey.png', cv2.IMREAD_GRAYSCALE) for views in VIEWS[::3])
    assert once.shape == eight.shape
    assert not np.array_equal(once, eight)
