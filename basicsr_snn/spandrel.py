"""Our weight files in programs that load networks by `spandrel <https://github.com/chaiNNer-org/spandrel>`_."""
from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from basicsr_snn.errors import UserError

if TYPE_CHECKING:
    from spandrel import ArchRegistry

__all__ = ['install']


def install(registry: ArchRegistry | None = None) -> None:
    """Let spandrel load files of this package: ``ModelLoader().load_from_file(path)`` gives the network of
    :func:`basicsr_snn.load`, with the same pictures bit for bit, clipped to 0..1 as spandrel clips.

    A state dict tells names and shapes of weights, but not the neuron, its highest count or the time steps. Files
    of this package therefore carry their ``network_g``, as attributes of the state dicts in a ``.pth``, which spandrel
    hands on, and in the header of a ``.safetensors``, which it drops: ``ModelLoader.load_state_dict_from_file`` hands
    it on from now on. A state dict that carries nothing is recognised where it holds the numbers of a shipped network;
    another one with the names of a ``SpikerIR`` is refused in a sentence rather than guessed.

    Args:
        registry: Of spandrel's; None: its ``MAIN_REGISTRY``, which loaders use that are told none. To install twice
            does no harm.

    Raises:
        UserError: spandrel is not installed.
    """
    if importlib.util.find_spec('spandrel') is None:
        raise UserError('basicsr_snn.spandrel.install() was called, but the package spandrel is not installed; type: '
                        'pip install spandrel.')
    from basicsr_snn.elsewhere.spandrel_architecture import install_in

    install_in(registry)
