"""Spiking neural networks for BasicSR.

Importing this package repairs BasicSR 1.4.2 for today's torch (:mod:`basicsr_snn.compat`), then registers our networks,
models, datasets and losses with BasicSR.
"""
from basicsr_snn import compat

compat.apply()

from basicsr_snn import archs, data, losses, models  # noqa: E402
from basicsr_snn.engines.placing import load  # noqa: E402
from basicsr_snn.moved import keep_former_names  # noqa: E402
from basicsr_snn.version import __version__  # noqa: E402

keep_former_names()

__all__ = ['__version__', 'archs', 'compat', 'data', 'load', 'losses', 'models']
