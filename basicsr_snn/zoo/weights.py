"""Weight files loaded into networks, with a sentence for everything that can be wrong with them."""
from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from basicsr.utils import get_root_logger
from basicsr.utils.dist_util import get_dist_info
from torch import Tensor, nn

from basicsr_snn.errors import UserError, some
from basicsr_snn.finite import check_numbers
from basicsr_snn.installation import find_weight_file
from basicsr_snn.spiking.ternary import WEIGHTS_A_BYTE, unpacked_state
from basicsr_snn.weight_files.card import Card
from basicsr_snn.weight_files.reading import read_weight_file
from basicsr_snn.zoo.entries import MissingEntryError, also, as_kind_of, named, named_as, select_entry
from basicsr_snn.zoo.same_network import differences
from basicsr_snn.zoo.shipped import FOLDER, rows


def load_weights(net: nn.Module, path: str | Path, param_key: str | None = None, strict: bool = True) -> None:
    """Load a weight file into a network.

    Args:
        net: The network, as it was built; its weights are replaced.
        path: ``.pth`` with a plain state dict or BasicSR's ``{params: ..., params_ema: ...}``, or ``.safetensors``.
        param_key: Entry of the file that holds the weights; the rule is in :mod:`basicsr_snn.zoo.entries`.
        strict: Whether names, shapes and the network of the file must agree. If not, what fits is loaded, and the log
            names what does not.

    Raises:
        UserError: The file is missing or unreadable, or does not fit the network.
        MissingEntryError: The file has no entry ``param_key``.
        NotFiniteError: Its weights hold NaN or infinity.
    """
    _load(net, find_weight_file(path), param_key, strict)


def load_entry_or_any(net: nn.Module, path: str | Path, param_key: str | None, strict: bool) -> None:
    """:func:`load_weights` as ``path:`` of an option file says: a file that lacks the entry gives what it has."""
    _load(net, find_weight_file(path), param_key, strict, or_any=True)


def _load(net: nn.Module, path: Path, param_key: str | None, strict: bool, or_any: bool = False) -> None:
    content, card = read_weight_file(path)
    try:
        entry, tensors = select_entry(content, path, param_key)
    except MissingEntryError as missing:
        if not or_any:
            raise
        entry, tensors = select_entry(content, path, None)
        if entry is not None:  # a plain state dict leaves no choice, and the moving average asks for its own entry
            _log(logging.INFO, f'{missing} Loading what it has.')
    if path.parent != FOLDER:  # of what ships there is one entry only
        _log(logging.INFO, f'Loading {named(entry)} of {path} into {type(net).__name__}{also(content, entry)}.')
    load_tensors(net, tensors, path, card or _card_of_shipped(path), strict)


def load_tensors(net: nn.Module, tensors: Mapping[str, Tensor], path: Path, card: Card | None,
                 strict: bool = True) -> None:
    """Load named tensors into a network.

    Args:
        net: As in :func:`load_weights`.
        tensors: By their names in a file, ternary ones packed or not.
        path: Where they are from, for messages.
        card: What is known of their network; None: nothing.
        strict: As in :func:`load_weights`.

    Raises:
        UserError: They do not fit the network.
        NotFiniteError: They hold NaN or infinity.
    """
    if card is not None:
        _compare_networks(card, net, tensors, path, strict)
    expected = net.state_dict()
    given = unpacked_state(named_as(_names_of(net), tensors, path), net)
    fitting = {name: as_kind_of(expected[name], value, name, path) for name, value in given.items()
               if name in expected and value.shape == expected[name].shape}
    check_numbers(fitting, str(path))
    if problems := _mismatches(expected, given):
        message = f'{path} does not fit the network {type(net).__name__} that was built: {"; ".join(problems)}'
        if strict or not fitting:
            raise UserError(f'{message}; give the options of the network that this file was trained with.')
        _log(logging.WARNING, f'{message}; loaded {len(fitting)} of {len(expected)} tensors, since strict is false.')
    net.load_state_dict(fitting, strict=False)


def read_weights(path: str | Path, param_key: str | None = None) -> Mapping[str, Tensor]:
    """The tensors of a weight file by their names; arguments and errors as in :func:`load_weights`."""
    path = find_weight_file(path)
    tensors = select_entry(read_weight_file(path)[0], path, param_key)[1]
    check_numbers(tensors, str(path))
    return tensors


def read_card(path: str | Path) -> tuple[Card, int]:
    """What a weight file says of its network, and how many numbers a network of it can have.

    Raises:
        UserError: It cannot be read, or says nothing.
    """
    path = find_weight_file(path)
    content, card = read_weight_file(path)
    card = card or _card_of_shipped(path)
    if card is None:
        raise UserError(f'{path} does not say which network it is of, as files of other projects and of earlier '
                        'versions; write -opt X.yml --weights W with the option file whose network_g it belongs to.')
    return card, most_elements(select_entry(content, path, None)[1])


def says_its_network(path: Path) -> bool:
    """Whether a weight file says which network it is of; a ``UserError`` where it cannot be read."""
    path = find_weight_file(path)
    return (read_weight_file(path)[1] or _card_of_shipped(path)) is not None


def sha256_of(path: Path) -> str:
    """Checksum of a file, 64 hexadecimal digits."""
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def _card_of_shipped(path: Path) -> Card | None:
    """What is known of a copy of a shipped file, which is older than cards."""
    alike = [row for row in rows() if row.path.is_file() and row.path.stat().st_size == path.stat().st_size]
    checksum = sha256_of(path) if alike else None
    return next((row.card for row in alike if row.sha256 == checksum), None)


def _compare_networks(card: Card, net: nn.Module, tensors: Mapping[str, Tensor], path: Path, strict: bool) -> None:
    """Refuse a network that would compute something else from these weights, or say so."""
    found = differences(card.network_g, net, most_elements(tensors))
    if not found:
        return
    message = f'{path} is of another network: {some(found, "; ")}'
    if strict:
        raise UserError(f'{message}; write network_g: {json.dumps(dict(card.network_g))}, or strict_load_g: false to '
                        'load it all the same.')
    _log(logging.WARNING, f'{message}; loaded all the same, since strict is false.')


def most_elements(tensors: Mapping[str, Tensor]) -> int:
    """Numbers that a network of these weights can have at most: ternary ones are packed."""
    return WEIGHTS_A_BYTE * sum(max(1, tensor.numel()) for tensor in tensors.values())


def _names_of(net: nn.Module) -> set[str]:
    """Names of a network's weights, in the form in which it trains and in which ternary ones ship."""
    own = net.state_dict().keys()
    stems = {name.removesuffix('.weight') for name in own if name.endswith('.weight')}
    return {*own, *(f'{stem}.{part}' for stem in stems for part in ('codes', 'scale'))}


def _log(level: int, message: str) -> None:
    """Into BasicSR's log, once for all processes, and also where a command keeps other messages of the log back."""
    logger = get_root_logger().getChild('weights')
    logger.setLevel(logging.INFO)
    if get_dist_info()[0] == 0:
        logger.log(level, message)


def _mismatches(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """One clause for each kind of mismatch, each naming the first three."""
    missing = [name for name in expected if name not in given]
    unknown = [name for name in given if name not in expected]
    shapes = [f'{name} is {tuple(given[name].shape)} instead of {tuple(value.shape)}'
              for name, value in expected.items() if name in given and given[name].shape != value.shape]
    return [f'{kind} {some(names)}'
            for kind, names in (('shapes differ:', shapes), ('the file lacks', missing), ('the network lacks', unknown))
            if names]
