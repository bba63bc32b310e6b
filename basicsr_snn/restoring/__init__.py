"""Restoring pictures in one call: the network that suits a picture, and pictures of every kind that Python has."""
from __future__ import annotations

import warnings
from typing import Any

from basicsr_snn.inference import calling
from basicsr_snn.restoring.denoising import denoise
from basicsr_snn.restoring.tasks import restore

__all__ = ['denoise', 'restore']


def __getattr__(name: str) -> Any:
    """What a module of this name held once, for programs that import it: it now lies in ``inference.calling``."""
    if name not in vars(calling) or name.startswith('_'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    warnings.warn(f'{__name__}.{name} is now {calling.__name__}.{name}; import it from there.', DeprecationWarning,
                  stacklevel=2)
    return vars(calling)[name]
