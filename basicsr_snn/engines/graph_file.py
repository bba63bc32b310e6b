"""The ONNX file of a network: the one that ships, or one that is written once and kept for the next time."""
from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from basicsr_snn.errors import UserError
from basicsr_snn.exporting import export
from basicsr_snn.version import __version__
from basicsr_snn.zoo.trained_network import TrainedNetwork

CACHE = 'BASICSR_SNN_CACHE'
"""Environment variable: folder of the files that are kept; else ``basicsr_snn`` in the user's cache folder."""


def graph_of(trained: TrainedNetwork, int8: bool) -> Path:
    """The ONNX file of a network.

    Args:
        trained: A network with its weights.
        int8: Whether the 8-bit form is wanted.

    Raises:
        UserError: It has no graph, packages are missing, or the file cannot be written.
    """
    if int8 and trained.int8_file is not None:
        return trained.int8_file
    file = cache_folder() / 'graphs' / f'{_fingerprint(trained, int8)}.onnx'
    if not file.is_file():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f'{file.parent} cannot be made ({error}); set {CACHE} to a folder that may be written '
                            'to.') from error
        export(trained.loaded(), trained.network, 'onnx', file, int8=int8)
    return file


def cache_folder() -> Path:
    """Where files are kept that save time when they are needed again; it may be deleted at any time."""
    told = os.environ.get(CACHE)
    base = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    return Path(told) if told else base / 'basicsr_snn'


def _fingerprint(trained: TrainedNetwork, int8: bool) -> str:
    """The same for the same network, weights, form and version of this package."""
    told = json.dumps([trained.fingerprint(), int8, __version__], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:24]
