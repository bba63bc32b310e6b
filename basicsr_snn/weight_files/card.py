"""What a weight file says of itself: the network that its weights are of, noise level, licence, version.

In a ``.pth`` these are entries beside ``params``; in a ``.safetensors`` they are JSON in its header.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from basicsr_snn.errors import UserError
from basicsr_snn.version import __version__

NETWORK = 'network_g'
NOISE_OPTIONS = ('sigma', 'sigma_range', 'sigma_list')
DEEPEST = 8
"""Levels of blocks in one another that a ``network_g`` may have."""


@dataclass(frozen=True)
class Card:
    """What is known of the weights of a file.

    Attributes:
        network_g: The block that builds their network, in plain YAML types, with its ``type``.
        noise: Standard deviation that they were trained for on the 0..255 scale: one, or several as a list.
        scale: Factor by which their network enlarges a picture.
        licence: Licence of the weights.
        version: Version of this package that wrote the file.
    """

    network_g: Mapping[str, Any]
    noise: float | list[float] | None = None
    scale: int | None = None
    licence: str | None = None
    version: str | None = None

    def entries(self) -> dict[str, Any]:
        """What is known, as entries of a ``.pth``."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def header(self) -> dict[str, str]:
        """The same as the header of a ``.safetensors``, which holds text."""
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in self.entries().items()}

    @classmethod
    def of_entries(cls, content: Mapping[str, Any]) -> Self | None:
        """The card among the entries of a file; None: it has none, as other projects' files.

        Raises:
            UserError: A ``network_g`` that is no block of an option file.
        """
        network = content.get(NETWORK)
        if not isinstance(network, Mapping) or not isinstance(network.get('type'), str):
            return None
        rest = {key: _plain(content[key]) for key in ('noise', 'scale', 'licence', 'version') if key in content}
        return cls(_plain(network), **rest)

    @classmethod
    def of_header(cls, header: Mapping[str, str]) -> Self | None:
        """The card in the header of a ``.safetensors``; None: it has none."""
        return cls.of_entries({key: _decoded(text) for key, text in header.items()})


KEYS = tuple(Card.__dataclass_fields__)
"""Entries of a file that are no weights."""


def card_of_options(options: Mapping[str, Any], block: str = NETWORK) -> Card | None:
    """The card of weights that a training with these options makes.

    Args:
        options: Of an option file, parsed or not.
        block: Its block that builds the network.

    Returns:
        None if there is no such block.
    """
    if not isinstance(options.get(block), Mapping):
        return None
    training = (options.get('datasets') or {}).get('train') or {}
    noise = next((_plain(training[key]) for key in NOISE_OPTIONS if training.get(key) is not None), None)
    return Card(_plain(options[block]), noise, _plain(options.get('scale')), options.get('licence'), __version__)


def entries_of_card(options: Mapping[str, Any], net_label: str) -> dict[str, Any]:
    """Entries of a ``.pth`` of the network that BasicSR calls ``net_label``: ``net_g`` is built from ``network_g``."""
    card = card_of_options(options, f'network_{net_label.removeprefix("net_")}')
    return {} if card is None else card.entries()


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _plain(value: Any, depth: int = DEEPEST) -> Any:
    """A value in plain types: whatever BasicSR's parser or another program made of it."""
    if depth and isinstance(value, Mapping):
        return {str(key): _plain(one, depth - 1) for key, one in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_plain(one, depth - 1) for one in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise UserError(f'the network_g of a weight file holds a {type(value).__name__}, but may hold words, numbers and '
                    f'at most {DEEPEST} levels of blocks; save the file without that entry.')
