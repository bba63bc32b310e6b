"""Our networks in algorithms of `deepinv <https://deepinv.github.io>`_: plug-and-play restoration and its kin."""
from __future__ import annotations

from pathlib import Path

import torch

from basicsr_snn.elsewhere.denoiser_by_level import DenoiserByLevel
from basicsr_snn.errors import MissingPackageError

try:
    from deepinv.models import Denoiser as _Denoiser
except ImportError as error:
    raise MissingPackageError('basicsr_snn.deepinv needs the package deepinv, which cannot be imported '
                              f'({error}); type: pip install deepinv.') from error

__all__ = ['Denoiser']


class Denoiser(DenoiserByLevel, _Denoiser):
    """A network of this package as a ``deepinv.models.Denoiser``, for example in ``deepinv.optim.PnP(denoiser)``.

    Arguments, levels and errors are those of
    :class:`basicsr_snn.elsewhere.denoiser_by_level.DenoiserByLevel`.

    Args:
        name: A shipped network or a weight file, as for :func:`basicsr_snn.load`.
        device: Where it runs.
    """

    def __init__(self, name: str | Path, device: str | torch.device = 'cpu') -> None:
        DenoiserByLevel.__init__(self, name, device)
