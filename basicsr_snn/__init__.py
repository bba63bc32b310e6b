"""Spiking neural networks for BasicSR.

Importing this package repairs BasicSR 1.4.2 for today's torch (:mod:`basicsr_snn.compat`), then registers our networks,
models, datasets and losses with BasicSR. Only the command waits with this until it has read its arguments and option
files: help, and what is wrong with these, need no torch.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from basicsr_snn.asked import waits
from basicsr_snn.registered import register
from basicsr_snn.version import __version__

if TYPE_CHECKING:
    from basicsr_snn import archs, compat, data, losses, models
    from basicsr_snn.engines.placing import load
    from basicsr_snn.pipeline.run import test_pipeline, train_pipeline
    from basicsr_snn.restoring import denoise, restore

__all__ = ['__version__', 'archs', 'compat', 'data', 'denoise', 'load', 'losses', 'models', 'restore',
           'test_pipeline', 'train_pipeline']

_LAZY = {'load': 'basicsr_snn.engines.placing', 'denoise': 'basicsr_snn.restoring',
         'restore': 'basicsr_snn.restoring', 'train_pipeline': 'basicsr_snn.pipeline.run',
         'test_pipeline': 'basicsr_snn.pipeline.run'}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    register()
    return getattr(importlib.import_module(_LAZY[name]), name) if name in _LAZY else globals()[name]


if not waits():
    register()
