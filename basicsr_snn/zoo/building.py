"""Networks built from ``network_g`` blocks, of any architecture registered with BasicSR."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.inference.contract import is_built_with_weights
from basicsr_snn.plugins.installed import import_plugins

SUFFIX = '_basicsr'
"""With which BasicSR registers architectures that other packages have too; its own ``get`` tries it."""


def build(network: Mapping[str, Any]) -> nn.Module:
    """Build a network, with fresh weights, from a ``network_g`` block: any architecture registered with BasicSR.

    Raises:
        UserError: The type is missing or not registered, or does not take these options.
    """
    from basicsr.archs import ARCH_REGISTRY  # registers BasicSR's own architectures, too

    options = dict(network)
    name = options.pop('type', None)
    arch = arch_named(name) if is_known(name) else None
    if arch is None:
        known = [known.removesuffix(SUFFIX) for known in ARCH_REGISTRY.keys()]  # noqa: SIM118 - no mapping
        raise UserError(f'network type "{name}" is not registered; did you mean '
                        f'{" or ".join(near_matches(str(name), known))}? All names: basicsr-snn list.')
    try:
        return arch(**options)
    except TypeError as error:
        raise UserError(f'network {name} cannot be built from the options {options}: {error}.') from error


def is_known(name: Any) -> bool:
    """Whether an architecture is registered, by BasicSR, by us, by the user, or by a plugin, which is then imported."""
    if arch_named(name) is None:
        import_plugins()
    return arch_named(name) is not None


def arch_named(name: Any) -> Callable[..., nn.Module] | None:
    """The architecture of a name, by which BasicSR registers some of its own with a suffix; None: there is none."""
    from basicsr.archs import ARCH_REGISTRY

    found = next((full for full in (name, f'{name}{SUFFIX}') if full in ARCH_REGISTRY), None)
    return None if found is None else ARCH_REGISTRY.get(found)


def window_of(network: Mapping[str, Any]) -> int:
    """What the sides of pictures must be a multiple of for the architecture of a ``network_g`` block: its
    ``window_size``, as given or by default, as BasicSR's ``SwinIRModel`` has it; 1 where it has none."""
    arch = arch_named(network.get('type'))
    takes = {} if arch is None else inspect.signature(arch).parameters
    window = network.get('window_size', takes['window_size'].default) if 'window_size' in takes else 1
    return window if isinstance(window, int) and window > 0 else 1


def weights_in(network: Mapping[str, Any]) -> Path | None:
    """Weight file that a ``network_g`` block itself names, of an architecture with ``carries_weights``; else None."""
    carries = is_built_with_weights(arch_named(network.get('type')))
    return Path(network['path']) if carries and network.get('path') else None
