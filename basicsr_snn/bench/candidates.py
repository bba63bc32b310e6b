"""What is compared: networks with their weights, and BM3D as the classical reference."""
from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from basicsr_snn.engines.placing import place
from basicsr_snn.errors import UserError
from basicsr_snn.inference import contract
from basicsr_snn.inference.calling import usual_device
from basicsr_snn.inference.self_ensemble import with_views
from basicsr_snn.zoo.trained_network import NetworkRestorer, TrainedNetwork


class Restorer(Protocol):
    """Something that restores pictures, ready to run.

    Attributes:
        net: The network behind it, whose operations can be counted, or None.
        spiking: Whether it spikes, where there is no ``net`` to tell; None: not known.
    """

    @property
    def net(self) -> contract.Restorer | None: ...

    @property
    def spiking(self) -> bool | None: ...

    def __call__(self, picture: Tensor, sigma: Tensor | None) -> Tensor:
        """Restore (1, C, H, W) in 0..1, noise level (1,) on the 0..255 scale or None, to (1, C, H', W')."""


class Candidate(Protocol):
    """A row to come.

    Attributes:
        name: What the row is called.
        arch: Registered name of the architecture.
        trained: Whether its answers are worth a score; otherwise only its costs are measured.
    """

    @property
    def name(self) -> str: ...

    @property
    def arch(self) -> str: ...

    @property
    def trained(self) -> bool: ...

    def fingerprint(self) -> dict[str, Any]:
        """What its results depend on, in JSON's types; equal fingerprints restore equal pictures."""

    def build(self) -> Restorer:
        """Make it ready to run."""


@dataclass(frozen=True)
class BM3DCandidate:
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
    spiking = False

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


@dataclass(frozen=True)
class PlacedCandidate:
    """A network on an engine, whose operations are not counted: they are those of the row of torch.

    Attributes:
        trained_network: Network and weights.
        engine: A name of :data:`basicsr_snn.engines.names.ENGINES`.
    """

    trained_network: TrainedNetwork
    engine: str

    @property
    def name(self) -> str:
        return f'{self.trained_network.name} ({self.engine})'

    @property
    def arch(self) -> str:
        return self.trained_network.arch

    @property
    def trained(self) -> bool:
        return self.trained_network.trained

    def fingerprint(self) -> dict[str, Any]:
        return {**self.trained_network.fingerprint(), 'engine': self.engine}

    def build(self) -> Restorer:
        device = usual_device()
        placed = place(self.trained_network, self.engine, gpu=device == 'cuda')
        net = with_views(placed.net.to(device), self.trained_network.views)
        return NetworkRestorer(net) if placed.engine == 'torch' else EngineRestorer(net, placed.int8 or None)


class EngineRestorer:
    """A network on an engine at work, one picture at a time, whole."""

    net = None

    def __init__(self, graph: contract.Restorer, spiking: bool | None) -> None:
        self._graph = graph
        self.spiking = spiking

    def __call__(self, picture: Tensor, sigma: Tensor | None) -> Tensor:
        return self._graph(picture)


def with_own_names(candidates: Iterable[TrainedNetwork]) -> list[TrainedNetwork]:
    """Number those that share a name."""
    named: list[TrainedNetwork] = []
    for candidate in candidates:
        same = sum(one.name == candidate.name or one.name.startswith(f'{candidate.name} (') for one in named)
        named.append(replace(candidate, name=f'{candidate.name} ({same + 1})') if same else candidate)
    return named
