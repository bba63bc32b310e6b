"""Weight files, read: by their content, not by their name, and without running anything in them."""
from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from basicsr_snn.errors import UserError, first_line, near_matches
from basicsr_snn.weight_files.card import Card
from basicsr_snn.weight_files.checksum import safetensors_are_as_written, zip_is_as_written
from basicsr_snn.weight_files.declared_size import check_declared_size

DAMAGED = '{} is not a weight file that can be read: it was damaged since it was written (checksum); give another copy.'
SUFFIXES = ('.pth', '.pt', '.ckpt', '.safetensors')

_scalar = np.float64(0).__reduce__()[0]
HARMLESS: list[Any] = [np.dtype, *(type(np.dtype(kind)) for kind in ('f8', 'f4', 'i8', 'i4', '?')),
            *((_scalar, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core'))]
"""What makes numbers of NumPy's, such as the best score of a training, which often lie beside the weights."""


def read_weight_file(path: Path) -> tuple[Mapping[str, Any], Card | None]:
    """What a file holds, and what it says of its network.

    Raises:
        UserError: There is no such file, it declares too many bytes, or it cannot be read safely.
    """
    if not path.is_file():
        raise UserError(f'weight file {path} {_what_is_there(path)}')
    try:
        check_declared_size(path)
        return _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    except OSError as error:
        raise UserError(f'{path} is not a weight file that can be read ({first_line(error)}); give another, or its '
                        'rights to your account.') from error


def _is_safetensors(path: Path) -> bool:
    """By its name, or by its beginning: the length of the header, and the header, which is JSON."""
    with path.open('rb') as file:
        return path.suffix == '.safetensors' or file.read(9)[8:] == b'{'


def _read_torch(path: Path) -> tuple[Mapping[str, Any], Card | None]:
    if not zip_is_as_written(path):
        raise UserError(DAMAGED.format(path))
    try:
        with torch.serialization.safe_globals(HARMLESS):
            content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # damaged files make torch, pickle and zip raise whatever they meet
        raise UserError(f'{path} is not a weight file that can be read safely ({_reason(error)}); give a .pth file '
                        'that holds tensors only, or a .safetensors file.') from error
    if not isinstance(content, Mapping):
        raise UserError(f'{path} holds a {type(content).__name__}, not named tensors; give a file that was saved from '
                        'net.state_dict().')
    return content, Card.of_content(content)


def _reason(error: Exception) -> str:
    """What torch found, without its advice to read the file unsafely."""
    found = re.search(r'WeightsUnpickler error: (.{1,160})', str(error))
    return (found[1] if found else first_line(error)).partition('. ')[0]


def _read_safetensors(path: Path) -> tuple[Mapping[str, Any], Card | None]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise UserError(f'{path} needs the package safetensors, which is not installed; type: pip install safetensors, '
                        'or give a .pth file.') from error
    try:
        with safe_open(path, 'pt') as file:
            about = file.metadata() or {}
            found = {name: file.get_tensor(name) for name in file.keys()}, Card.of_header(about)  # noqa: SIM118 - no mapping
        sound = safetensors_are_as_written(path, about)
    except (SafetensorError, RuntimeError, AttributeError, KeyError) as error:
        raise UserError(f'{path} is not a safetensors file that can be read ({first_line(error)}); give an undamaged '
                        'one.') from error
    if not sound:
        raise UserError(DAMAGED.format(path))
    return found


def card_in_header(path: Path) -> Card | None:
    """What the header of a ``.safetensors`` says of its network, without its tensors; None: nothing."""
    from safetensors import safe_open

    with safe_open(path, 'pt') as file:
        return Card.of_header(file.metadata() or {})


def _what_is_there(path: Path) -> str:
    if path.exists():
        return 'is no file; give the path of a file in that place.'
    if not path.parent.is_dir():
        return f'does not exist; the folder {path.parent} does not exist either; correct the path.'
    if near := weight_files_like(path):
        return f'does not exist; did you mean {" or ".join(near)} in {path.parent}?'
    return f'does not exist; {path.parent} holds no weight file ({", ".join(SUFFIXES)}); correct the path.'


def weight_files_like(path: Path) -> list[str]:
    """Names of the weight files in its folder that are most alike."""
    if not path.parent.is_dir():
        return []
    return near_matches(path.name, sorted(file.name for file in path.parent.iterdir() if file.suffix in SUFFIXES))
