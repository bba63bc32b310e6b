"""What stands in the place of a neuron in the ANN twin of a student."""
from __future__ import annotations

from torch import nn

from basicsr_snn.spiking.base import Activation, register_neuron


@register_neuron('relu')
class ReLU(Activation, nn.ReLU):
    """Rectified membrane potential: what a neuron without negative spikes counts, before it counts.

    .. code-block:: yaml

        neuron: {type: relu}
    """

    def __init__(self, channels: int) -> None:
        super().__init__()


@register_neuron('linear')
class Linear(Activation, nn.Identity):
    """The membrane potential as it is: what a signed neuron counts, before it counts.

    .. code-block:: yaml

        neuron: {type: linear}
    """

    is_signed = True

    def __init__(self, channels: int) -> None:
        super().__init__()
