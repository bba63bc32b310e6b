"""Feature hooks: reading intermediate features of unmodified networks by module path."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.inference.contract import Restorer

PROBE_SIZE = 32
"""Side of the pictures that networks are tried on where no size of crops is known."""


class _AllSeen(Exception):  # noqa: N818 - no error: it ends a forward that has nothing more to tell
    """Raised inside a forward once every hooked module has run."""


class FeatureHooks:
    """Context in which the outputs of named modules are kept, by path, as their network runs.

    Hooks stand only inside the context, so a hooked network can be copied, saved and run elsewhere as ever. A module
    that runs several times leaves its last output. What is kept is what later layers compute from, so that gradients of
    the picture reach it.

    Args:
        net: Any network, unmodified.
        paths: Module paths as in ``net.named_modules()``.
        stop: End the network's forward, and leave the context, as soon as every hooked module has run once.

    Raises:
        UserError: A path that ``net`` does not have; the sentence lists the nearest paths.
    """

    def __init__(self, net: nn.Module, paths: Iterable[str], stop: bool = False) -> None:
        self._stop = stop
        self._modules = {path: find_module(net, path) for path in paths}
        self._handles: list[Any] = []
        self.features: dict[str, Tensor] = {}

    def __enter__(self) -> FeatureHooks:
        for path, module in self._modules.items():
            self._handles.append(module.register_forward_hook(self._keep(path)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> bool:
        while self._handles:
            self._handles.pop().remove()
        return kind is _AllSeen

    def _keep(self, path: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
            self.features[path] = output
            if self._stop and len(self.features) == len(self._modules):
                raise _AllSeen
            return output.clone() if isinstance(output, Tensor) else output  # in-place layers follow

        return hook


def find_module(net: nn.Module, path: str) -> nn.Module:
    """The module of ``net`` at ``path``; a ``UserError`` with the nearest paths where there is none or it never
    runs."""
    modules = dict(net.named_modules())
    if path in modules and path and not isinstance(modules[path], nn.ModuleList | nn.ModuleDict):
        return modules[path]
    reason = 'is a list of modules and never runs itself' if path in modules and path else 'does not exist'
    callable_paths = [p for p, m in modules.items() if p and not isinstance(m, nn.ModuleList | nn.ModuleDict)]
    raise UserError(f'Hint path "{path}" {reason} in {type(net).__name__}; nearest paths: '
                    f'{", ".join(near_matches(path, callable_paths, 5))}.')


def probe_picture(channels: int, device: torch.device, size: int = PROBE_SIZE) -> Tensor:
    """A black picture for :func:`feature_shapes`, (1, channels, size, size)."""
    return torch.zeros(1, channels, size, size, device=device)


@contextmanager
def _only_looked_at(net: Restorer) -> Iterator[None]:
    """Context in which a network is in eval mode and keeps no gradients."""
    training = net.network.training
    net.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        net.network.train(training)


def features_of(net: Restorer, paths: Iterable[str], picture: Tensor) -> dict[str, Tensor]:
    """Features of ``net.network`` at ``paths`` for a picture batch (N, C, H, W); it runs only as deep as it must."""
    with _only_looked_at(net), FeatureHooks(net.network, paths, stop=True) as hooks:
        net(picture)
    return hooks.features


def first_layer(net: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Path of the first layer with weights that gives a feature map: it reads the picture as it is padded inside.

    Args:
        net: The network.
        shapes: What :func:`feature_shapes` found.
    """
    modules = dict(net.named_modules())
    return next((path for path, shape in shapes.items()
                 if len(shape) in (4, 5) and any(True for _ in modules[path].parameters(recurse=False))), None)


def feature_shapes(net: Restorer, probe: Tensor) -> dict[str, tuple[int, ...]]:
    """Output shapes of all modules of ``net.network`` for a picture batch (N, C, H, W), by path, in order of execution.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(path: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor):
                shapes[path] = tuple(output.shape)

        return hook

    handles = [module.register_forward_hook(watch(path)) for path, module in net.network.named_modules() if path]
    try:
        with _only_looked_at(net):
            net(probe)
    finally:
        for handle in handles:
            handle.remove()
    return shapes


def shape_of_hint(shapes: dict[str, tuple[int, ...]], path: str, owner: str) -> tuple[int, ...]:
    """Shape at a hint path, or a ``UserError`` with the nearest paths and their shapes.

    Args:
        shapes: What :func:`feature_shapes` found.
        path: The hint's path.
        owner: Whose path it is, for the sentence: ``teacher FFDNet``.
    """
    shape = shapes.get(path)
    if shape is not None and len(shape) in (4, 5):
        return shape
    feature_maps = {p: s for p, s in shapes.items() if len(s) in (4, 5)}
    nearest = ', '.join(f'{p} {format_shape(feature_maps[p])}' for p in near_matches(path, feature_maps, 5))
    reason = 'gives no feature map' if shape is not None else 'does not exist or does not run'
    raise UserError(f'Hint path "{path}" {reason} in the {owner}; nearest paths with their shapes: {nearest}.')


def format_shape(shape: Sequence[int]) -> str:
    """``64x32x32`` for (N, 64, 32, 32); ``4x(64x32x32)`` for (4, N, 64, 32, 32)."""
    feature = 'x'.join(str(size) for size in shape[-3:])
    return f'{shape[0]}x({feature})' if len(shape) == 5 else feature
