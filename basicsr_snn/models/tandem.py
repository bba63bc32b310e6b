"""Progressive tandem training: a network begins as an ANN, and its layers become spiking one group after another."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from torch import Tensor, nn

from basicsr_snn.distill.feature_hooks import feature_shapes, probe_picture
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import as_restorer
from basicsr_snn.spiking.base import Neuron
from basicsr_snn.spiking.blocks import SpikingConv
from basicsr_snn.spiking.neurons import is_spiking


class Tandem:
    """Which layers of a network spike at an iteration.

    Progressive tandem learning (Wu et al., arXiv 2007.01204) replaces the layers of a trained ANN by spiking ones from
    the input on and trains on after each. Here the same network holds both: a layer that is not yet spiking runs its
    activation without rounding in place of its neuron. ReLU stands in for neurons without negative spikes, nothing for
    signed ones (our choice, as in the ANN twin). Groups are of equal size, in order of execution.

    Args:
        options: ``{every: N, groups: G}``: one group of G becomes spiking every N iterations, the first at iteration N.

    Raises:
        UserError: Numbers below 1.

    .. code-block:: yaml

        train:
          tandem: {every: 500, groups: 6}
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.every, self.groups = options.get('every', 0), options.get('groups', 0)
        self.layers: list[str] | None = None
        if self.every < 1 or self.groups < 1:
            raise UserError(f'train: tandem was given {dict(options)}; write {{every: 500, groups: 6}}, iterations '
                            'between two groups of layers that become spiking, and the number of groups.')

    def apply(self, net: nn.Module, iteration: int) -> int:
        """Let the layers spike that do so at ``iteration``; returns how many."""
        if self.layers is None:
            self.layers = _in_order_of_execution(net)
        spiking = len(self.layers) * min(iteration // self.every, self.groups) // self.groups
        for place, path in enumerate(self.layers):
            layer = cast('SpikingConv', net.get_submodule(path))
            layer.stand_in = None if place < spiking else _stand_in(layer.neuron)
        return spiking


def _in_order_of_execution(net: nn.Module) -> list[str]:
    restorer = as_restorer(net)
    ran = feature_shapes(restorer, probe_picture(restorer.in_ch, next(net.parameters()).device))
    modules = dict(net.named_modules())
    return [path for path in ran if isinstance(modules[path], SpikingConv) and is_spiking(modules[path].neuron)]


def _stand_in(neuron: Neuron) -> Callable[[Tensor], Tensor]:
    return nn.functional.relu if not neuron.is_signed else _identity


def _identity(x: Tensor) -> Tensor:
    return x
