"""Every kind of fault, tried a few times with a fixed seed."""
from __future__ import annotations

from random import Random

import pytest
from fault import FAULTS, Fault, fault, import_faults


@pytest.mark.parametrize('kind', [pytest.param(kind, id=name) for name, kind in import_faults().items()])
def test_the_fault_is_survived(kind: Fault, tmp_path, monkeypatch):
    for attempt in range(kind.tries):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        monkeypatch.chdir(folder)
        kind.bring_about(Random(f'{kind.name} {attempt}'), folder)


def test_two_faults_of_one_name_are_refused(monkeypatch):
    monkeypatch.delitem(FAULTS, 'disk is full', raising=False)

    def disk_is_full(random, folder):
        """Nothing: only its name matters."""

    try:
        fault('the last checkpoint stays')(disk_is_full)
        with pytest.raises(ValueError, match="two faults named 'disk is full'"):
            fault('the last checkpoint stays')(disk_is_full)
    finally:
        FAULTS.pop('disk is full', None)
