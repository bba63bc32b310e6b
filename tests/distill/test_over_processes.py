"""What the processes of a training agree on: each with its part of a batch finds what one would with the whole."""
from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from basicsr_snn.distill.adapters import Adapter, AdapterForm
from basicsr_snn.distill.least_squares import linear_map
from basicsr_snn.distill.relative_weights import share_of_gradient
from basicsr_snn.losses.rate_loss import SpikeRateLoss


class TwoProcesses:
    """Two threads that ``torch.distributed`` takes for the processes of a training."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._meeting, self._parts = threading.Barrier(2, timeout=30), {}
        for name, answer in (('is_initialized', lambda: True), ('get_world_size', lambda: 2),
                             ('all_reduce', self._add_up)):
            monkeypatch.setattr(torch.distributed, name, answer)

    def _add_up(self, value: Tensor) -> None:
        self._parts[threading.get_ident()] = value.clone()
        self._meeting.wait()
        total = sum(self._parts.values())
        self._meeting.wait()
        value.copy_(total)

    def run(self, function: Callable[[int], Any]) -> list[Any]:
        """What the function of the process number answers in each."""
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(function, range(2)))


@pytest.fixture
def parts() -> list[Tensor]:
    """Halves of a batch of features (4, 3, 6, 6) that differ in mean and spread."""
    torch.manual_seed(0)
    return [torch.randn(2, 3, 6, 6), 2 + 3 * torch.randn(2, 3, 6, 6)]


def test_the_best_linear_map(parts, monkeypatch):
    values = [part.flatten(1) for part in parts]
    wanted = [rows[:, :2] ** 2 + number for number, rows in enumerate(values)]
    whole = linear_map(torch.cat(values), torch.cat(wanted))
    for found in TwoProcesses(monkeypatch).run(lambda number: linear_map(values[number], wanted[number])):
        torch.testing.assert_close(found, whole)


def test_mean_and_variance_of_a_teachers_feature(parts, monkeypatch):
    def unit_of(teacher: Tensor) -> tuple[Tensor, Tensor]:
        adapter = Adapter(3, 3, form=AdapterForm(unit=True))
        adapter.read_first_batch(torch.zeros_like(teacher), teacher)
        return adapter.mean, adapter.deviation

    whole = unit_of(torch.cat(parts))
    for found in TwoProcesses(monkeypatch).run(lambda number: unit_of(parts[number])):
        torch.testing.assert_close(found, whole)


def test_the_running_mean_of_accumulations(parts, monkeypatch):
    def mean_after(counts: Tensor) -> Tensor:
        loss = SpikeRateLoss(target=1e-3)
        loss([counts], [7.0], counts[:, 0].numel())
        return loss.mean

    whole = mean_after(torch.cat(parts))
    for found in TwoProcesses(monkeypatch).run(lambda number: mean_after(parts[number])):
        torch.testing.assert_close(found, whole)


def test_the_share_of_the_gradient(parts, monkeypatch):
    def factor(number: int) -> Tensor:
        feature = parts[number].clone().requires_grad_()
        truth = {'l_pix': (number + 1.0) * feature.sum()}
        return share_of_gradient(SimpleNamespace(own_losses=truth), 5.0 * feature.sum(), feature)

    alone = [factor(number) for number in range(2)]
    assert [round(one.item(), 4) for one in alone] == [0.2, 0.4]
    for found in TwoProcesses(monkeypatch).run(factor):
        assert found.item() == pytest.approx(0.3)
