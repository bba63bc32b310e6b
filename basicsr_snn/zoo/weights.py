"""Weight files, read and loaded into a network, with a sentence for everything that can be wrong with them."""
from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from basicsr_snn.errors import UserError, first_line, near_matches
from basicsr_snn.installation import find_weight_file
from basicsr_snn.spiking.ternary import unpacked_state

PREFERRED_KEYS = ('params_ema', 'params')
"""Where BasicSR's files hold the weights; the running average comes first, since validation reads it."""

SUFFIXES = ('.pth', '.pt', '.safetensors')
SHOWN = 3


class MissingEntryError(UserError):
    """A weight file without the entry that ``param_key`` names."""


def load_weights(net: nn.Module, path: str | Path, param_key: str | None = None, strict: bool = True) -> None:
    """Load a weight file into a network.

    Args:
        net: The network; its weights are replaced.
        path: ``.pth`` with a plain state dict or BasicSR's ``{params: ..., params_ema: ...}``, or ``.safetensors``.
        param_key: Entry of the file that holds the weights. By default ``params_ema``, else ``params``, else the whole
            file.
        strict: Whether names and shapes must agree. If not, what fits is loaded, and the log names what was left out.

    Raises:
        UserError: The file is missing or unreadable, or does not fit the network.
        MissingEntryError: The file has no entry ``param_key``.
    """
    path = find_weight_file(path)
    given = unpacked_state(_without_ddp_prefix(read_weights(path, param_key), net), net)
    problems = _mismatches(net.state_dict(), given)
    if not problems:
        net.load_state_dict(given)
        return
    message = f'{path} does not fit the network {type(net).__name__} that was built: {"; ".join(problems)}'
    expected = net.state_dict()
    fitting = {name: value for name, value in given.items()
               if name in expected and value.shape == expected[name].shape}
    if strict or not fitting:
        raise UserError(f'{message}; give the options of the network that this file was trained with.')
    net.load_state_dict(fitting, strict=False)
    get_root_logger().warning(f'{message}; loaded {len(fitting)} of {len(expected)} tensors, since strict is false.')


def read_weights(path: str | Path, param_key: str | None = None) -> Mapping[str, Tensor]:
    """The tensors of a weight file by their names; arguments and errors as in :func:`load_weights`."""
    path = find_weight_file(path)
    return _select(_read(path), path, param_key)


def sha256_of(path: Path) -> str:
    """Checksum of a file, 64 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise UserError(f'weight file {path} does not exist; {_what_is_there(path)}')
    if path.suffix == '.safetensors':
        return _read_safetensors(path)
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError, OSError) as error:
        raise UserError(f'{path} is not a weight file that can be read safely ({first_line(error)}); give a .pth file '
                        'that holds tensors only, or a .safetensors file.') from error
    if not isinstance(content, Mapping):
        raise UserError(f'{path} holds a {type(content).__name__}, not named tensors; give a file that was saved from '
                        'net.state_dict().')
    return content


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise UserError(f'{path} needs the package safetensors, which is not installed; type: pip install safetensors, '
                        'or give a .pth file.') from error
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f'{path} is not a safetensors file ({first_line(error)}); give an undamaged one.') from error


def _what_is_there(path: Path) -> str:
    if not path.parent.is_dir():
        return f'the folder {path.parent} does not exist either; correct the path.'
    files = sorted(file.name for file in path.parent.iterdir() if file.suffix in SUFFIXES)
    if not files:
        return f'{path.parent} holds no weight file ({", ".join(SUFFIXES)}); correct the path.'
    return f'did you mean {" or ".join(near_matches(path.name, files))} in {path.parent}?'


def _select(content: Mapping[str, Any], path: Path, param_key: str | None) -> Mapping[str, Tensor]:
    if param_key is None:
        param_key = next((key for key in PREFERRED_KEYS if isinstance(content.get(key), Mapping)), None)
    elif not isinstance(content.get(param_key), Mapping):
        entries = [key for key, value in content.items() if isinstance(value, Mapping)]
        allowed = f'it has {", ".join(entries)}' if entries else 'it is a plain state dict'
        instead = f'param_key: {near_matches(param_key, entries)[0]}' if entries else 'param_key: ~'
        raise MissingEntryError(f'{path} has no entry "{param_key}": {allowed}; write {instead}.')
    weights = content if param_key is None else content[param_key]
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(f'{path} holds no tensors, only {_some(weights)}; give the entry that holds the weights '
                        'as param_key, or another file.')
    return tensors


def _without_ddp_prefix(weights: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    own = net.state_dict().keys()
    return {name if name in own else name.removeprefix('module.'): value for name, value in weights.items()}


def _mismatches(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """One clause for each kind of mismatch, each naming the first three."""
    missing = [name for name in expected if name not in given]
    unknown = [name for name in given if name not in expected]
    shapes = [f'{name} is {tuple(given[name].shape)} instead of {tuple(value.shape)}'
              for name, value in expected.items() if name in given and given[name].shape != value.shape]
    return [f'{kind} {_some(names)}'
            for kind, names in (('shapes differ:', shapes), ('the file lacks', missing), ('the network lacks', unknown))
            if names]


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return ', '.join(names[:SHOWN]) + more
