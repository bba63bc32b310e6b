"""Fixtures of the commands."""
from __future__ import annotations

import pytest
from denoising import SMALL, option_file


@pytest.fixture
def small(tmp_path) -> tuple[str, ...]:
    """Arguments that name a small colour network."""
    options = option_file(tmp_path, {**SMALL, 'in_nc': 3, 'out_nc': 3})
    return '-opt', str(options), '--weights', str(tmp_path / 'net.pth')
