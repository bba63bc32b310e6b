"""``LSQ``: activations of a few bits with a learnt step (learned step size quantisation, arXiv 1902.08153)."""
from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.spiking.base import Activation
from basicsr_snn.spiking.membrane_values import MembraneValues


class LSQ(Activation, nn.Module):
    """Values of ``bits`` bits: multiples of a step that each channel learns, as the student's thresholds are.

    The answer is the rounded value itself, not an integer, so that an ordinary convolution follows. The gradient passes
    where the value is inside the range; that of the step is the paper's, without its scale, which Adam takes out. Both
    are those of a student's spikes as membrane values, and come from there.

    Args:
        channels: Number of channels.
        bits: 2 to 8.
        signed: Whether half of the levels are negative; false: from 0 on, in the place of a ReLU.
        step: Initial step, > 0.
        compile: Train by the fused kernels.

    .. code-block:: yaml

        neuron: {type: LSQ, bits: 6}
        hidden: {signed: false}
    """

    def __init__(self, channels: int, bits: int = 6, signed: bool = True, step: float = 0.1,
                 compile: bool = False) -> None:
        super().__init__()
        if not 2 <= bits <= 8 or step <= 0:
            raise UserError(f'LSQ was given bits: {bits} and step: {step}; write bits: 2 to 8 and a step above 0.')
        self.is_signed = signed
        self.lowest, self.highest = (-2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
        self.register_buffer('limits', torch.tensor([self.lowest, self.highest], dtype=torch.float32), persistent=False)
        self.compiled = compile
        self.log_step = nn.Parameter(torch.full((channels,), math.log(step)))

    def forward(self, x: Tensor) -> Tensor:
        return MembraneValues.apply(x, self.log_step.exp(), self.limits, self.compiled and self.training)[0]
