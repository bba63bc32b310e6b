"""Fixtures shared by all tests."""
from __future__ import annotations

import os
from pathlib import Path

import pytest

import basicsr_snn.compat

basicsr_snn.compat.apply()

REPOSITORY = Path(__file__).resolve().parent.parent
DATA_VARIABLE = 'BASICSR_SNN_DATA'


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of standard sets (CBSD68, BSD432, ...) and teacher weights, or a skip where it is not at hand."""
    folder = Path(os.environ.get(DATA_VARIABLE, REPOSITORY.parent / 'shared' / 'data'))
    if not folder.is_dir():
        pytest.skip(f'standard sets not found: set {DATA_VARIABLE} to a folder that holds CBSD68, BSD432, weights, ...')
    return folder
