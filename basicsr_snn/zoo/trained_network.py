"""A network with its weights: the one way to it from a shipped name, from the options of a file, from a weight file."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import deployed, restore
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.inference.self_ensemble import SelfEnsemble
from basicsr_snn.installation import find_weight_file
from basicsr_snn.zoo.building import build, weights_in, window_of
from basicsr_snn.zoo.shipped import row
from basicsr_snn.zoo.weights import MissingEntryError, load_weights, sha256_of


@dataclass(frozen=True)
class TrainedNetwork:
    """A network by its options and its weight file; a candidate of ``basicsr-snn bench``.

    Attributes:
        name: What the row is called.
        network: The ``network_g`` block.
        weights: Weight file; None: what the network is built with, for most architectures random weights of a fixed
            seed, for the costs of an untrained network.
        param_key: Entry of the file that holds the weights, None for what ``load_weights`` prefers.
        strict: Whether names and shapes must agree.
        views: Flips and turns of each picture that it restores, a self-ensemble.
    """

    name: str
    network: Mapping[str, Any]
    weights: Path | None
    param_key: str | None = None
    strict: bool = True
    views: int = 1

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
        """The same with the weights of another file, from the entry that ``load_weights`` prefers."""
        return replace(self, weights=file, param_key=None)

    def with_views(self, views: int) -> TrainedNetwork:
        """The same on so many flips and turns of each picture, which its name then tells."""
        return self if views == 1 else replace(self, name=f'{self.name}, {views} views', views=views)

    def loaded(self) -> nn.Module:
        """The network in its training form, with its weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = build(self.network)
        if self.weights is not None:
            self._load(net)
        return net

    def build(self) -> NetworkRestorer:
        net = deployed(self.loaded(), window_of(self.network))
        net = net.to('cuda' if torch.cuda.is_available() else 'cpu')
        return NetworkRestorer(SelfEnsemble(net, self.views) if self.views > 1 else net)

    def _load(self, net: nn.Module) -> None:
        file = self.weight_file()
        try:
            load_weights(net, file, self.param_key, self.strict)
        except MissingEntryError:  # as SNNModel does: a plain state dict under BasicSR's default key
            load_weights(net, file, None, self.strict)

    def weight_file(self) -> Path:
        """The file of its weights, which is there; a ``UserError`` names one that is not."""
        named = self.weights or weights_in(self.network)
        file = None if named is None else find_weight_file(named)
        if file is None or not file.is_file():
            raise UserError(f'weight file {file} does not exist; train the network first, or correct path: '
                            'pretrain_network_g.')
        return file


class NetworkRestorer:
    """A restorer at work where its weights are: pictures and noise levels are sent there.

    Args:
        net: In eval mode, without gradients, on its device.
    """

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
    weights = paths.get('pretrain_network_g')
    return TrainedNetwork(name, options['network_g'], Path(weights).expanduser() if weights else None,
                          paths.get('param_key_g', 'params'), paths.get('strict_load_g', True))


def shipped_network(name: str) -> TrainedNetwork:
    """A network that ships; ``UserError`` if none has this name."""
    found = row(name)
    return TrainedNetwork(found.name, found.network, found.path)


def load(name: str) -> Restorer:
    """Load a shipped network, ready for inference.

    Args:
        name: A name of ``basicsr-snn list``.

    Returns:
        The network in eval mode, folded, without gradients: float (N, C, H, W) in 0..1 to the same, any H, W >= 1.

    Raises:
        UserError: Unknown name, or the weight file was changed since it was shipped.
    """
    wanted = row(name)
    net = build(wanted.network)
    if wanted.path.is_file() and sha256_of(wanted.path) != wanted.sha256:
        raise UserError(f'{wanted.path} is not the file that was shipped (sha256 {sha256_of(wanted.path)[:8]}..., '
                        f'not {wanted.sha256[:8]}...); install basicsr_snn again.')
    load_weights(net, wanted.path)
    return deployed(net)
