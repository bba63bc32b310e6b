"""The spikes that enter the convolutions of a network as it trains, with their gradient."""
from __future__ import annotations

from types import TracebackType
from typing import Any

from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.spiking.blocks import fan_out_of, spiking_convs
from basicsr_snn.spiking.neurons import is_spiking


class SpikeTaps:
    """Context in which the spikes of every :class:`~basicsr_snn.spiking.blocks.SpikingConv` of a network are kept.

    Args:
        net: A network built of :class:`~basicsr_snn.spiking.blocks.SpikingConv`.

    Attributes:
        spikes: Integer-valued counts (T*N, C, H, W) that each convolution read, in order of execution.
        fan_outs: Accumulations of one unit event in each of them, away from the borders.

    Raises:
        UserError: ``net`` has no spiking convolution.
    """

    def __init__(self, net: nn.Module) -> None:
        self._convs = [layer.conv for layer in spiking_convs(net) if is_spiking(layer.neuron)]
        if not self._convs:
            raise UserError(f'train: rate_opt limits spikes, but {type(net).__name__} has no spiking convolution; take '
                            'rate_opt out, or choose a spiking neuron.')
        self._handles: list[Any] = []
        self.spikes: list[Tensor] = []
        self.fan_outs: list[float] = []

    def __enter__(self) -> SpikeTaps:
        self._handles = [conv.register_forward_pre_hook(self._keep) for conv in self._convs]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _keep(self, conv: nn.Conv2d, inputs: tuple[Any, ...]) -> None:
        self.spikes.append(inputs[0])
        self.fan_outs.append(fan_out_of(conv))
