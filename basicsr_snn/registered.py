"""Repairs BasicSR and registers with it whatever this package has: what ``import basicsr_snn`` does."""
from __future__ import annotations

import importlib

ROOMS = ('archs', 'data', 'losses', 'models')


def register() -> None:
    """Repair BasicSR, then register networks, data sets, losses and models; a second time this changes nothing."""
    importlib.import_module('basicsr_snn.compat').apply()
    for room in ROOMS:
        importlib.import_module(f'basicsr_snn.{room}')
    importlib.import_module('basicsr_snn.moved').keep_former_names()
