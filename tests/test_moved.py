"""Modules under their former names."""
from __future__ import annotations

import importlib
import sys

import pytest

from basicsr_snn.moved import MOVED


@pytest.fixture(params=MOVED)
def former(request, monkeypatch):
    """A former module, imported for the first time."""
    monkeypatch.delitem(sys.modules, request.param, raising=False)
    with pytest.warns(DeprecationWarning, match=f'{request.param} is now {MOVED[request.param][0]}'):
        return importlib.import_module(request.param)


def test_all_that_is_there_now_is_found_under_the_former_name(former):
    for place in map(importlib.import_module, MOVED[former.__name__]):
        for name in vars(place):
            if not name.startswith('__'):
                assert getattr(former, name) is not None
    with pytest.raises(AttributeError, match='have no nonsense'):
        _ = former.nonsense


def test_no_module_has_come_back_under_a_former_name():
    import basicsr_snn

    folder = basicsr_snn.__path__[0]
    for name in MOVED:
        assert importlib.machinery.PathFinder.find_spec(name, [folder, f'{folder}/data']) is None


def test_what_calls_a_network_is_found_where_restoring_had_it():
    from basicsr_snn import restoring
    from basicsr_snn.inference.calling import deployed

    with pytest.warns(DeprecationWarning, match='restoring.deployed is now basicsr_snn.inference.calling.deployed'):
        assert restoring.deployed is deployed
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = restoring.nonsense


def test_the_entries_of_training_and_test_keep_their_functions():
    from basicsr_snn import test, train
    from basicsr_snn.pipeline import run

    assert train.run is test.run is run.exit_on_user_error
    assert (train.main, test.main) == (run.run_training, run.run_test)
