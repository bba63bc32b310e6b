"""A network with its weights: the one way to it from a shipped name, from the options of a file, from a weight file."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import deployed, restore, usual_device
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.inference.self_ensemble import with_views
from basicsr_snn.installation import find_weight_file
from basicsr_snn.weight_files.card import Card, card_of_options
from basicsr_snn.weight_files.reading import SUFFIXES, weight_files_like
from basicsr_snn.zoo.building import build, is_known, weights_in, window_of
from basicsr_snn.zoo.same_network import built_for_comparison
from basicsr_snn.zoo.shipped import row
from basicsr_snn.zoo.weights import load_entry_or_any, read_card, says_its_network, sha256_of

MAKE_KNOWN = ('if it is your own, write -opt X.yml --weights W with an option file whose import: names its module, or '
              'let its package announce it by an entry point basicsr_snn.plugins')


@dataclass(frozen=True)
class TrainedNetwork:
    """A network by its options and its weight file; a candidate of ``basicsr-snn bench``.

    Attributes:
        name: What the row is called.
        network: The ``network_g`` block.
        weights: Weight file; None: what the network is built with, for most architectures random weights of a fixed
            seed, for the costs of an untrained network.
        param_key: Entry of the file that holds the weights, if it has it; None: what :mod:`basicsr_snn.zoo.entries`
            prefers.
        strict: Whether names, shapes and the network of the file must agree.
        views: Flips and turns of each picture that it restores, a self-ensemble.
        card: What is known of its weights beside, where that is known before they are read.
        int8_file: The same weights in the 8-bit form, an ONNX file; None: there is no such file.
    """

    name: str
    network: Mapping[str, Any]
    weights: Path | None
    param_key: str | None = None
    strict: bool = True
    views: int = 1
    card: Card | None = None
    int8_file: Path | None = None

    @property
    def arch(self) -> str:
        return str(self.network.get('type'))

    @property
    def trained(self) -> bool:
        return self.weights is not None or weights_in(self.network) is not None

    def fingerprint(self) -> dict[str, Any]:
        return {'network': dict(self.network), 'weights': sha256_of(self.weight_file()) if self.trained else None,
                'param_key': self.param_key, 'strict': self.strict, 'views': self.views}

    def with_weights(self, file: Path) -> TrainedNetwork:
        """The same with the weights of another file."""
        return replace(self, weights=Path(file).expanduser(), int8_file=None)

    def with_views(self, views: int) -> TrainedNetwork:
        """The same on so many flips and turns of each picture, which its name then tells."""
        return self if views == 1 else replace(self, name=f'{self.name}, {views} views', views=views)

    def loaded(self) -> nn.Module:
        """The network in its training form, with its weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = build(self.network)
        if self.weights is not None:
            load_entry_or_any(net, self.weight_file(), self.param_key, self.strict)
        return net

    def known_card(self) -> Card:
        """What is known of its weights: what their file says, else what the option file does."""
        try:
            card = read_card(self.weight_file())[0]
        except UserError:
            card = self.card or Card(self.network)
        return replace(card, network_g=self.network)

    def deployed(self) -> Restorer:
        """The network in the form that ships, with its weights."""
        net = deployed(self.loaded(), window_of(self.network))
        net.require_pictures()
        return net

    def build(self) -> NetworkRestorer:
        return NetworkRestorer(with_views(self.deployed().to(usual_device()), self.views))

    def weight_file(self) -> Path:
        """The file of its weights, which is there; a ``UserError`` names one that is not."""
        named = self.weights or weights_in(self.network)
        file = None if named is None else find_weight_file(named)
        if file is None or not file.is_file():
            near = [] if file is None else weight_files_like(file)
            meant = f' (did you mean {" or ".join(near)}?)' if near else ''
            raise UserError(f'weight file {file} does not exist; train the network first, or correct its path{meant}.')
        return file


class NetworkRestorer:
    """A restorer at work where its weights are: pictures and noise levels are sent there.

    Args:
        net: In eval mode, without gradients, on its device.
    """

    spiking = None

    def __init__(self, net: Restorer) -> None:
        self.net = net
        self._device = next((tensor.device for tensor in net.parameters()), torch.device('cpu'))

    def __call__(self, picture: Tensor, sigma: Tensor | None) -> Tensor:
        level = None if sigma is None else sigma.to(self._device)
        return restore(self.net, picture.to(self._device, memory_format=torch.channels_last), level)


def network_of_options(file: str | Path, options: Any, name: str) -> TrainedNetwork:
    """The ``network_g`` of a file's options with the weights that their ``path`` block names."""
    if not isinstance(options, Mapping) or not isinstance(options.get('network_g'), Mapping):
        raise UserError(f'{file} has no network_g block; write for example network_g: {{type: SpikerIR, size: small}}.')
    paths = options.get('path') or {}
    if not isinstance(paths, Mapping):
        raise UserError(f'{file} has path: {paths}, but path is a block; write path: {{pretrain_network_g: {paths}}}.')
    weights = paths.get('pretrain_network_g')
    return TrainedNetwork(name, options['network_g'], Path(weights).expanduser() if weights else None,
                          paths.get('param_key_g', 'params'), paths.get('strict_load_g', True),
                          card=card_of_options(options))


def shipped_network(name: str) -> TrainedNetwork:
    """A network that ships.

    Raises:
        UserError: None has this name, or the weight file was changed since it was shipped.
    """
    found = row(name)
    if found.path.is_file() and sha256_of(found.path) != found.sha256:
        raise UserError(f'{found.path} is not the file that was shipped (sha256 {sha256_of(found.path)[:8]}..., '
                        f'not {found.sha256[:8]}...); install basicsr_snn again.')
    return TrainedNetwork(found.name, found.network, found.path, card=found.card, int8_file=found.int8_file)


def check_known(card: Card, elements: int, file: str | Path) -> None:
    """Refuse a network that cannot be built here.

    Args:
        card: What a file says of its network; it may be anybody's.
        elements: Numbers that the network may have at most, since the file holds no more.
        file: The file, for messages.

    Raises:
        UserError: Its architecture is not known, or does not take these options.
    """
    if not is_known(card.network_g.get('type')):
        raise UserError(f'{file} holds weights of the architecture "{card.network_g.get("type")}", which is not known '
                        f'here; {MAKE_KNOWN}.')
    try:
        built_for_comparison(card.network_g, elements)
    except UserError as error:
        raise UserError(f'{file}: {error}; write -opt X.yml --weights W with an option file that builds it.') from error


def network_of_weight_file(file: str | Path) -> TrainedNetwork:
    """The network that a weight file says it is of, called as the file, and as its experiment where it lies in one.

    Raises:
        UserError: The file cannot be read, does not say it, or names a network that cannot be built.
    """
    file = find_weight_file(Path(file).expanduser())
    card, elements = read_card(file)
    check_known(card, elements, file)
    experiment = f'{file.parts[-3]} ' if file.parts[-2:-1] == ('models',) and len(file.parts) > 2 else ''
    return TrainedNetwork(experiment + file.stem, card.network_g, file, card=card)


def network_beside(file: str | Path, beside: TrainedNetwork | None) -> TrainedNetwork:
    """The network that a weight file says it is of, else another one with these weights, called as the file.

    Args:
        file: The weight file.
        beside: The network that is meant where the file does not say it; None: it has to say it.
    """
    if beside is None or says_its_network(Path(file).expanduser()):
        return network_of_weight_file(file)
    return replace(beside.with_weights(Path(file)), name=Path(file).stem)


def named_network(name: str | Path) -> TrainedNetwork:
    """A shipped network by its name, or that of a weight file by its path; errors as of these two."""
    path = Path(name).expanduser()
    if path.suffix in SUFFIXES or len(path.parts) > 1 or path.is_file():
        return network_of_weight_file(path)
    return shipped_network(str(name))
