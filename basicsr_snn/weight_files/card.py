"""What a weight file says of itself: the network that its weights are of, noise level, task, licence, version.

In a ``.pth`` these are attributes of each state dict, as torch's own ``_metadata``: torch keeps them when it saves one,
and whoever reads the entries of a file sees ``params`` and ``params_ema`` alone. Entries of the same names are read,
too. In a ``.safetensors`` they are JSON in its header.
"""
from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.images.noise import NOISE_KEYS
from basicsr_snn.version import __version__

NETWORK = 'network_g'
CAMERA = 'camera'
"""In the place of a noise level: the noise of cameras, of which no level is told."""
OF_CAMERAS = ('CameraNoiseDataset', 'RealPairsDataset', 'NoisyPicturesDataset')
"""Datasets whose pictures have it."""

DEEPEST = 8
"""Levels of blocks in one another that a ``network_g`` may have."""


@dataclass(frozen=True)
class Card:
    """What is known of the weights of a file.

    Attributes:
        network_g: The block that builds their network, in plain YAML types, with its ``type``.
        noise: Standard deviation that they were trained for on the 0..255 scale: one, or several as a list;
            ``camera``: noise of cameras.
        scale: Factor by which their network enlarges a picture.
        task: What it restores, a task of ``basicsr-snn restore``.
        licence: Licence of the weights.
        version: Version of this package that wrote the file.
    """

    network_g: Mapping[str, Any]
    noise: float | list[float] | str | None = None
    scale: int | None = None
    licence: str | None = None
    version: str | None = None
    task: str | None = None

    def entries(self) -> dict[str, Any]:
        """What is known, by name, in plain types."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def header(self) -> dict[str, str]:
        """The same as the header of a ``.safetensors``, which holds text."""
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in self.entries().items()}

    def on(self, state: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
        """A state dict that carries the card into the file that it is saved to."""
        carrying = OrderedDict(state)
        vars(carrying).update(self.entries())
        return carrying

    @classmethod
    def of_content(cls, content: Mapping[str, Any]) -> Self | None:
        """The card of a ``.pth``; None: it has none, as other projects' files."""
        states = [one for one in (content, *content.values()) if isinstance(one, OrderedDict)]
        cards = (cls.of_entries(entries) for entries in (content, *map(vars, states)))
        return next((card for card in cards if card is not None), None)

    @classmethod
    def of_entries(cls, content: Mapping[str, Any]) -> Self | None:
        """The card among named values; None: it is not there.

        Raises:
            UserError: A ``network_g`` that is no block of an option file.
        """
        network = content.get(NETWORK)
        if not isinstance(network, Mapping) or not isinstance(network.get('type'), str):
            return None
        rest = {key: plain(content[key]) for key in KEYS[1:] if key in content}
        return cls(plain(network), **rest)

    @classmethod
    def of_header(cls, header: Mapping[str, str]) -> Self | None:
        """The card in the header of a ``.safetensors``; None: it has none."""
        return cls.of_entries({key: _decoded(text) for key, text in header.items()})


TWIN = 'net_twin'
"""Under what name the twin that is trained beside a student is saved."""

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
    return Card(plain(options[block]), _noise_of(training), plain(options.get('scale')), options.get('licence'),
                __version__, options.get('task'))


def _noise_of(data: Mapping[str, Any]) -> Any:
    """The noise level of a training set; None: it has none. Of a mixed one that of all its sets, if they differ that
    of cameras, if one of them has it."""
    if isinstance(data.get('sets'), list):
        levels = [_noise_of(one) if isinstance(one, Mapping) else None for one in data['sets']]
        alike = bool(levels) and levels.count(levels[0]) == len(levels)
        return levels[0] if alike else CAMERA if CAMERA in levels else None
    if data.get('type') in OF_CAMERAS:
        return CAMERA
    return next((plain(data[key]) for key in NOISE_KEYS if data.get(key) is not None), None)


@contextmanager
def card_on_state_dicts(nets: Iterable[nn.Module], options: Mapping[str, Any], net_label: str) -> Iterator[None]:
    """Context in which the state dicts of networks carry their card.

    Args:
        nets: Networks of one kind, without torch's wrappers for several devices.
        options: Of their training.
        net_label: What BasicSR calls them: ``net_g`` is built from ``network_g``, a twin from its teacher's block.
    """
    block = f'network_{net_label.removeprefix("net_")}'
    of_twin = {block: options['distill']['teacher']['network']} if net_label == TWIN else {}
    card = card_of_options({**options, **of_twin}, block)

    def carry(module: nn.Module, state: OrderedDict[str, Tensor], prefix: str, metadata: dict[str, Any]) -> None:
        if card is not None:
            vars(state).update(card.entries())

    handles = [net.register_state_dict_post_hook(carry) for net in nets]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def plain(value: Any, depth: int = DEEPEST) -> Any:
    """A value in plain types: whatever BasicSR's parser or another program made of it."""
    if depth and isinstance(value, Mapping):
        return {str(key): plain(one, depth - 1) for key, one in value.items()}
    if depth and isinstance(value, list | tuple):
        return [plain(one, depth - 1) for one in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise UserError(f'the network_g of a weight file holds a {type(value).__name__}, but may hold words, numbers and '
                    f'at most {DEEPEST} levels of blocks; save the file without that entry.')
