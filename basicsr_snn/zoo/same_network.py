"""Whether two networks compute the same from the same weights: layers and options that no weight file holds."""
from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from basicsr_snn.errors import UserError, first_line
from basicsr_snn.spiking.neurons.coded_counts import CodedCounts, coded_form
from basicsr_snn.zoo.building import build, weights_in
from basicsr_snn.zoo.followed import Part, followed

NOT_OF_THE_ANSWER = frozenset({
    'detach_reset', 'momentum', 'p', 'drop_prob', 'dropout',  # training only
    'inplace', 'use_checkpoint', 'device', 'dtype', 'step_mode', 'backend',  # how it is computed
    'exit_tolerance', 'sigma'})  # what a call is told
"""Options of layers that may differ between training and use."""

SURROGATE = 'surrogate_function'
"""What SpikingJelly's neurons call their surrogate gradient, which only training asks for."""

PLAIN = int | float | str | bool | tuple | None


def differences(network: Mapping[str, Any], net: nn.Module, elements: int) -> list[str]:
    """Where ``net`` is another network than the one of a weight file, each with both values.

    Compared are the classes of all modules, and those options of their constructors that they keep as attributes:
    ``D``, ``lowest`` or ``tau`` of a neuron, ``T`` of the network.

    Args:
        network: The ``network_g`` block of the file.
        net: The network that is to take its weights, in the form in which it was built.
        elements: Numbers in the file, which the network of its block cannot outnumber.
    """
    if network['type'] != type(net).__name__:
        return [f'type is {type(net).__name__} here and {network["type"]} in the file']
    try:
        other = built_for_comparison(network, elements)
    except UserError as error:
        return [str(error)]
    code = _code_of(net)
    if code and not _code_of(other):
        with suppress(UserError):  # the same function in another form, if it has one
            other = built_for_comparison(coded_form(network, code), elements)
    theirs, ours = (dict(one.named_modules()) for one in (other, net))
    found: dict[str, list[str]] = {}
    for path in theirs.keys() & ours.keys():
        if path.rpartition('.')[2] != SURROGATE:
            for difference in _differences_of(ours[path], theirs[path]):
                found.setdefault(difference, []).append(path)
    return [difference + _where(paths) for difference, paths in sorted(found.items())]


def _code_of(net: nn.Module) -> type[CodedCounts] | None:
    return next((type(module) for module in net.modules() if isinstance(module, CodedCounts)), None)


def _differences_of(ours: nn.Module, theirs: nn.Module) -> list[str]:
    if type(ours) is not type(theirs):
        return [f'a layer is {type(ours).__name__} here and {type(theirs).__name__} in the file']
    mine, other = settings_of(ours), settings_of(theirs)
    return [f'{key} is {mine[key]} here and {other[key]} in the file' for key in mine
            if key in other and mine[key] != other[key]]


def settings_of(module: nn.Module) -> dict[str, Any]:
    """Options of a module's constructor that it keeps as attributes of the same name."""
    options = inspect.signature(type(module)).parameters
    return {name: value for name, value in vars(module).items()
            if name in options and name not in NOT_OF_THE_ANSWER and isinstance(value, PLAIN)}


def _where(paths: list[str]) -> str:
    if paths == ['']:
        return ''
    first, *others = sorted(paths, key=lambda path: (path.count('.'), path))
    return f' ({first or "the network"}{f" and {len(others)} more" if others else ""})'


def built_for_comparison(network: Mapping[str, Any], elements: int) -> nn.Module:
    """The network of a weight file's block, without memory for its numbers where its class allows that.

    Args:
        network: The block; it may be anybody's.
        elements: Numbers that a network may have at most: the file holds no more.

    Raises:
        UserError: It cannot be built, or has more.
    """
    try:
        if weights_in(network):
            raise UserError('it would read another weight file')
        with torch.random.fork_rng(devices=[]):
            try:
                with torch.device('meta'), _at_most(elements):
                    return build(network)
            except (NotImplementedError, RuntimeError):  # its class computes with numbers while it is built
                with _at_most(elements):
                    return build(network)
    except Exception as error:  # a block from anywhere raises anything
        raise UserError(f'the network_g of the file, {dict(network)}, cannot be built here '
                        f'({first_line(error, 300)})') from error


def _at_most(elements: int) -> AbstractContextManager[None]:
    """Context in which building a network of more numbers is broken off before it takes memory."""
    total = 0

    def count(parameter: Part) -> None:
        nonlocal total
        total += max(1, parameter.numel()) if isinstance(parameter, Tensor) else 0
        if total > elements:
            raise UserError(f'it has more than the {elements:,} numbers of the file')

    return followed(count, register_module_parameter_registration_hook)
