"""What is compared: networks of option files, shipped networks, and BM3D as the classical reference."""
from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from basicsr_snn import zoo
from basicsr_snn.errors import UserError
from basicsr_snn.images.padding import restored_on_multiple
from basicsr_snn.inference.calling import deployed, restore
from basicsr_snn.inference.self_ensemble import SelfEnsemble
from basicsr_snn.options import check_options, read_options
from basicsr_snn.weights import MissingEntryError, load_weights


class Restorer(Protocol):
    """Something that restores pictures, ready to run.

    Attributes:
        net: The network behind it, whose operations can be counted, or None.
    """

    net: nn.Module | None

    def __call__(self, picture: Tensor, sigma: Tensor | None) -> Tensor:
        """Restore (1, C, H, W) in 0..1, noise level (1,) on the 0..255 scale or None, to (1, C, H', W')."""


class Contender(Protocol):
    """A row to come.

    Attributes:
        name: What the row is called.
        arch: Registered name of the architecture.
        trained: Whether its answers are worth a score; otherwise only its costs are measured.
    """

    name: str
    arch: str
    trained: bool

    def fingerprint(self) -> dict[str, Any]:
        """What its results depend on, in JSON's types; equal fingerprints restore equal pictures."""

    def build(self) -> Restorer:
        """Make it ready to run."""


@dataclass(frozen=True)
class NetworkContender:
    """A network by its options and its weight file.

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
        return self.weights is not None or zoo.weights_in(self.network) is not None

    def fingerprint(self) -> dict[str, Any]:
        return {'network': dict(self.network), 'weights': zoo.sha256_of(self.weight_file()) if self.trained else None,
                'param_key': self.param_key, 'strict': self.strict, 'views': self.views}

    def loaded(self) -> nn.Module:
        """The network in its training form, with its weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = zoo.build(self.network)
        if self.weights is not None:
            self._load(net)
        return net

    def build(self) -> NetworkRestorer:
        net = deployed(self.loaded()).to('cuda' if torch.cuda.is_available() else 'cpu')
        net = SelfEnsemble(net, self.views) if self.views > 1 else net
        return NetworkRestorer(net, self.network.get('window_size', 1))

    def _load(self, net: nn.Module) -> None:
        file = self.weight_file()
        try:
            load_weights(net, file, self.param_key, self.strict)
        except MissingEntryError:  # as SNNModel does: a plain state dict under BasicSR's default key
            load_weights(net, file, None, self.strict)

    def weight_file(self) -> Path:
        """The file of its weights, which is there; a ``UserError`` names one that is not."""
        file = self.weights or zoo.weights_in(self.network)
        if not file.is_file():
            raise UserError(f'weight file {file} does not exist; train the network first, or correct path: '
                            'pretrain_network_g.')
        return file


class NetworkRestorer:
    """A network, told the noise level if it takes one.

    Args:
        net: In eval mode, without gradients, on its device.
        window: Pictures are padded to a multiple of this, as BasicSR's ``SwinIRModel`` pads them to ``window_size``.
    """

    def __init__(self, net: nn.Module, window: int = 1) -> None:
        self.net = net
        self._window = window
        self._device = next((tensor.device for tensor in net.parameters()), torch.device('cpu'))

    def __call__(self, picture: Tensor, sigma: Tensor | None) -> Tensor:
        level = None if sigma is None else sigma.to(self._device)

        def restored(padded: Tensor) -> Tensor:
            return restore(self.net, padded.to(self._device, memory_format=torch.channels_last), level)

        return restored_on_multiple(restored, picture, self._window)


@dataclass(frozen=True)
class BM3DContender:
    """Block-matching and 3-D filtering (Dabov et al., IEEE TIP 2007), by its authors' package ``bm3d``.

    Raises:
        UserError: The package is not installed.
    """

    name: str = 'BM3D'
    arch: str = 'BM3D'
    trained = True

    def __post_init__(self) -> None:
        if importlib.util.find_spec('bm3d') is None:
            raise UserError('--bm3d needs the package bm3d, which is not installed; type: pip install bm3d, or leave '
                            '--bm3d out.')

    def fingerprint(self) -> dict[str, Any]:
        return {'bm3d': importlib.metadata.version('bm3d')}

    def build(self) -> BM3DRestorer:
        return BM3DRestorer()


class BM3DRestorer:
    """BM3D, told the noise level; colour pictures by its RGB profile."""

    net = None

    def __call__(self, picture: Tensor, sigma: Tensor | None) -> Tensor:
        import bm3d

        if sigma is None:
            raise UserError('BM3D needs the noise level, which these pictures do not tell; leave --bm3d out.')
        deviation = float(sigma) / 255
        if picture.shape[1] == 1:
            restored = torch.from_numpy(bm3d.bm3d(picture[0, 0].numpy(), deviation))[None]
        else:
            restored = torch.from_numpy(bm3d.bm3d_rgb(picture[0].permute(1, 2, 0).numpy(), deviation)).permute(2, 0, 1)
        return restored.reshape(picture.shape).float()


def contender_of_options(file: str | Path) -> NetworkContender:
    """The network of an option file of a test or training.

    Raises:
        UserError: The file is no option file, has mistakes, or no ``network_g``.
    """
    options = read_options(file)
    check_options(options)
    return contender_of(file, options, str(options.get('name') or Path(file).stem))


def contender_of(file: str | Path, options: Any, name: str) -> NetworkContender:
    """The ``network_g`` of a file's options with the weights that their ``path`` block names."""
    if not isinstance(options, Mapping) or not isinstance(options.get('network_g'), Mapping):
        raise UserError(f'{file} has no network_g block; write for example network_g: {{type: SpikerIR, size: small}}.')
    paths = options.get('path') or {}
    weights = paths.get('pretrain_network_g')
    return NetworkContender(name, options['network_g'],
                            Path(weights).expanduser() if weights else None, paths.get('param_key_g', 'params'),
                            paths.get('strict_load_g', True))


def shipped_contender(name: str) -> NetworkContender:
    """A network that ships; ``UserError`` if none has this name."""
    row = zoo.row(name)
    return NetworkContender(row.name, row.network, row.path)


def with_views(contender: NetworkContender, views: int) -> NetworkContender:
    """The same network on so many flips and turns of each picture, which its name then tells."""
    return contender if views == 1 else replace(contender, name=f'{contender.name}, {views} views', views=views)


def with_own_names(contenders: Iterable[NetworkContender]) -> list[NetworkContender]:
    """Number those that share a name."""
    named: list[NetworkContender] = []
    for contender in contenders:
        same = sum(one.name == contender.name or one.name.startswith(f'{contender.name} (') for one in named)
        named.append(replace(contender, name=f'{contender.name} ({same + 1})') if same else contender)
    return named
