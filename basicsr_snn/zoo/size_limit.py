"""How large a network may be: its parameters and layers are counted while it is built, before memory is taken for them.

A line of an option file can ask for a network that no machine holds. Large tensors are therefore made on torch's device
``meta``, which has shapes and no memory, and building ends where the count goes beyond the limit.
"""
from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode

from basicsr_snn.errors import UserError
from basicsr_snn.zoo.followed import Part, followed

VARIABLE = 'BASICSR_SNN_MAX_PARAMETERS'
OPTION = 'max_parameters'
DEFAULT_PARAMETERS = 1_000_000_000
PARAMETERS_A_PIECE = 150_000
"""A piece is a layer or a tensor of one, of which a network may have one for so many of the allowed parameters: 6,666
by default, and never fewer. RCAN, BasicSR's deepest, has 4,100."""

LARGE = 1_000
"""Values of a tensor that takes no memory while the network is counted. Smaller ones are real, since constructors
compute with some of them."""

FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full, torch.tensor)


def max_parameters() -> float:
    """How many parameters and other values a network may hold.

    Raises:
        UserError: The environment variable is no such number.
    """
    given = os.environ.get(VARIABLE)
    return DEFAULT_PARAMETERS if given is None else checked_parameters(given, VARIABLE)


def allow_parameters(number: float) -> None:
    """Let networks hold ``number`` parameters from now on, here and in processes that start later."""
    os.environ[VARIABLE] = repr(float(number))


def checked_parameters(given: str, where: str) -> float:
    """A number of parameters from what was typed at ``where``.

    Raises:
        UserError: It is none.
    """
    try:
        number = float(given)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise UserError(f'{where} is {given!r}, but a number of parameters above 0 is allowed; write for example 2e9.')
    return number


def try_to_build(built: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Call a constructor of networks with its options, without the memory of the network.

    Raises:
        UserError: The network is larger than is allowed.
        Exception: What the constructor raises; not what comes of tensors without memory.
    """
    with _count_limited(), _LargeTensorsWithoutMemory(), torch.random.fork_rng(devices=[]):
        try:
            built(**options)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            if 'meta' not in str(error):
                raise


class _LargeTensorsWithoutMemory(TorchFunctionMode):
    """Context in which large tensors are made on the device ``meta``."""

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in FACTORIES and _size(args, kwargs) > LARGE:
            kwargs = {**kwargs, 'device': 'meta'}
        return function(*args, **kwargs)


def _size(args: tuple, kwargs: Mapping[str, Any]) -> int:
    """Values of the tensor that a factory is asked for."""
    sizes = kwargs.get('size', args)
    if isinstance(sizes, tuple | list) and sizes and isinstance(sizes[0], tuple | list):
        sizes = sizes[0]
    whole = isinstance(sizes, tuple | list) and all(isinstance(size, int) for size in sizes)
    return math.prod(sizes) if whole else 0


def _count_limited() -> AbstractContextManager[None]:
    """Context in which a network that grows beyond the limits is a ``UserError``."""
    limit, values, pieces = max_parameters(), 0, 0
    most_pieces = max(limit, DEFAULT_PARAMETERS) / PARAMETERS_A_PIECE
    instead = f'or allow more with basicsr-snn check --{OPTION} N (for all commands: {VARIABLE}=N)'

    def count(piece: Part) -> None:
        nonlocal values, pieces
        pieces += 1
        values += piece.numel() if isinstance(piece, Tensor) else 0
        if isinstance(piece, nn.Parameter) and not piece.numel():
            raise UserError('a layer without channels was asked for; write at least 1 everywhere.')
        if values > limit:
            raise UserError(f'more than {limit:,.0f} parameters were asked for, but no more are allowed; take fewer '
                            f'channels, {instead}.')
        if pieces > most_pieces:
            raise UserError(f'more than {most_pieces:,.0f} layers and tensors were asked for, but no more are allowed; '
                            f'take fewer blocks, {instead}.')

    return followed(count, hooks.register_module_parameter_registration_hook,
                    hooks.register_module_buffer_registration_hook, hooks.register_module_module_registration_hook)
