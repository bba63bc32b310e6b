"""SpikingJelly's binary neurons with a fused form of their whole sequence."""
from __future__ import annotations

import math

from spikingjelly.activation_based import neuron
from torch import Tensor

from basicsr_snn.spiking.sequences import SURROGATE_GRADIENTS, LeakySequence


class LeakyNode(neuron.BaseNode):
    """Runs a sequence from rest by the fused kernels where ``compiled`` asks for it; anything else is SpikingJelly's.

    Spikes and gradients are the same in either form. On CUDA SpikingJelly has kernels of its own, which stay in use.
    """

    compiled = False
    carries_state = False
    """Whether a call goes on from the membrane potential of the last one, ``v``, until ``reset()``."""

    def multi_step_forward(self, x_seq: Tensor) -> Tensor:
        if not self._fuses(x_seq):
            return super().multi_step_forward(x_seq)
        dynamics = (getattr(self, 'tau', math.inf), self.v_threshold, self.v_reset or 0.0,
                    getattr(self, 'decay_input', False), self.v_reset is not None)
        surrogate = self.surrogate_function
        return LeakySequence.apply(x_seq, dynamics, (self.detach_reset, type(surrogate).__name__, surrogate.alpha))

    def _fuses(self, x_seq: Tensor) -> bool:
        at_rest = not self.carries_state and not isinstance(self.v, Tensor)
        return (self.compiled and at_rest and x_seq.dim() == 5 and x_seq.device.type == 'cpu' and not self.store_v_seq
                and type(self.surrogate_function).__name__ in SURROGATE_GRADIENTS)


class LIFNode(LeakyNode, neuron.LIFNode):
    """SpikingJelly's ``LIFNode``."""


class IFNode(LeakyNode, neuron.IFNode):
    """SpikingJelly's ``IFNode``: no leak, which is an infinite time constant."""
