"""Neurons that tell a whole count by spikes whose time says what they are worth: what they share, and their forms."""
from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.spiking.base import NEURONS, Neuron
from basicsr_snn.spiking.membrane_values import MembraneValues
from basicsr_snn.spiking.neurons.signed_ilif import SignedCounts


class CodedCounts(Neuron, nn.Module):
    r"""A neuron that emits, over T steps, the count that ``SignedILIF`` would emit in one, told by a code.

    When all steps have arrived, the neuron has the mean :math:`h = \sum_t g_t x[t] / \sum_t g_t` of its input, weighed
    by what a spike of each step is worth, and emits :math:`k = \mathrm{round}(\mathrm{clip}(h / \theta_c, L, D))` as
    spikes :math:`s[t]` of -1, 0 and 1 with :math:`k = \sum_t g_t s[t]`. In training mode it runs in one step and emits
    k, which is the same function. Classes that inherit say what a step is worth, and how a count is told.

    Args:
        channels: Number of channels C.
        steps: Time steps T, the network's.
        lowest: Smallest count L, 0 or below.
        highest: Largest count D; None: all that so many steps can tell.
        threshold: Initial threshold of one unit of the count, > 0.
        bias: Whether each channel has a learnable current.

    Attributes:
        most_steps: Largest T that it takes.

    Raises:
        UserError: A count that the steps cannot tell, a threshold that is not positive; when run, another number of
            steps.
    """

    whole_sequence = True
    compiled = False
    most_steps: int

    def __init__(self, channels: int, steps: int = 4, lowest: int = 0, highest: int | None = None,
                 threshold: float = 0.1, bias: bool = False) -> None:
        super().__init__()
        limit = self.largest_count(steps, lowest < 0) if 1 <= steps <= self.most_steps else 0
        highest = limit if highest is None else highest
        if not (-limit <= lowest <= 0 < highest <= limit) or threshold <= 0:
            raise UserError(f'{type(self).__name__} was given steps: {steps}, lowest: {lowest}, highest: {highest} and '
                            f'threshold: {threshold}; so many steps tell counts of at most {limit}; write steps: 1 to '
                            f'{self.most_steps}, lowest: 0 or below and a threshold above 0.')
        self.steps, self.lowest = int(steps), int(lowest)
        self.highest = self.digit_limit = int(highest)
        self.is_signed = lowest < 0 or bias
        self.register_buffer('limits', torch.tensor([self.lowest, self.highest], dtype=torch.float32), persistent=False)
        self.log_threshold = nn.Parameter(torch.full((channels,), math.log(threshold)))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    @staticmethod
    def largest_count(steps: int, signed: bool) -> int:
        """The largest count that so many steps tell."""
        raise NotImplementedError

    @staticmethod
    def total_worth(steps: int) -> int:
        """What a spike in each step would be worth together."""
        raise NotImplementedError

    @staticmethod
    def mean(sequence: Tensor) -> Tensor:
        """What a sequence (T, ...) stands for: its mean, weighed by what the steps are worth."""
        raise NotImplementedError

    def tell(self, counts: Tensor) -> Tensor:
        """The spikes (T, ...) of integer counts (...)."""
        raise NotImplementedError

    @property
    def amplitude(self) -> Tensor:
        """What one spike adds to the current of its step, (C,): a spike in each step stands for all their worths."""
        return self.log_threshold.exp() * (1 if self.training else self.total_worth(self.steps))

    def forward(self, x: Tensor) -> Tensor:
        self.check_steps(self.steps if self.training else len(x))
        potential = self.mean(x).unsqueeze(0)
        if self.bias is not None:
            potential = potential + self.bias.view(-1, 1, 1)
        counts = SignedCounts.apply(potential, self.log_threshold.exp(), self.lowest, self.highest, 0.0)
        return counts if self.training else self.tell(counts[0])

    def membrane_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`SignedILIF.membrane_values`, for the whole counts of training."""
        if self.bias is not None:
            x = x + self.bias.view(-1, 1, 1)
        return MembraneValues.apply(x, self.log_threshold.exp(), self.limits, self.compiled)

    def check_steps(self, steps: int) -> None:
        """Raise ``UserError`` if a network has another number of time steps than the neuron."""
        if steps != self.steps:
            name = type(self).__name__
            raise UserError(f'{name} was given {steps} time steps but tells its counts in {self.steps}; write the same '
                            f'number twice: T: {self.steps} and neuron: {{type: {name}, steps: {self.steps}}}.')

    def extra_repr(self) -> str:
        return (f'channels={self.log_threshold.numel()}, steps={self.steps}, lowest={self.lowest}, '
                f'highest={self.highest}, bias={self.bias is not None}')


def coded_form(network: Mapping[str, Any], kind: type[CodedCounts]) -> dict[str, Any]:
    """The ``network_g:`` block that runs the weights of a one-step ``SignedILIF`` student in a code.

    Args:
        network: The block of the student.
        kind: The neuron of the code, registered under the name of its class.

    Raises:
        UserError: Another neuron, more steps than one, whose counts would have to be told in their own order, or
            counts beyond the code.
    """
    neuron = {'type': 'SignedILIF', **network.get('neuron', {})}
    hidden = {**neuron, **network.get('hidden', {})}
    stages = network.get('stages', {})
    if network.get('T', 1) != 1 or any(one.get('type') != 'SignedILIF' for one in (neuron, hidden, *stages.values())):
        raise UserError(f'{kind.__name__} was asked of T: {network.get("T", 1)} and neuron: {neuron["type"]}; give it '
                        'a student with T: 1 and SignedILIF everywhere.')
    ranges = [(one.get('lowest', -one.get('D', 4)), one.get('D', 4)) for one in (neuron, hidden, *stages.values())]
    steps = next((steps for steps in range(1, kind.most_steps + 1)
                  if all(kind.largest_count(steps, lowest < 0) >= highest for lowest, highest in ranges)), None)
    if steps is None:
        raise UserError(f'{kind.__name__} was asked to tell counts up to {max(highest for _, highest in ranges)}; its '
                        f'{kind.most_steps} steps tell at most {kind.largest_count(kind.most_steps, True)}; give it a '
                        'student with a smaller D.')

    def of(spec: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in spec.items() if key in ('threshold', 'bias')}
        highest = spec.get('D', 4)
        return {'type': kind.__name__, 'steps': steps, 'lowest': spec.get('lowest', -highest), 'highest': highest,
                **kept}

    return {**network, 'T': steps, 'neuron': of(neuron), 'hidden': of(hidden),
            'stages': {name: of(spec) for name, spec in stages.items()}}


def count_form(network: Mapping[str, Any]) -> dict[str, Any]:
    """The ``network_g:`` block that runs the weights of a student of coded counts on whole counts in one step.

    It answers with the same pictures; its state dict has the same names. A block without such neurons stays as it is,
    and so does a part with a neuron of another kind.

    Raises:
        UserError: Counts that reach farther below zero than above, which ``SignedILIF`` has not.
    """
    neuron = network.get('neuron', {})
    if _coded(neuron) is None:
        return dict(network)
    counted = {**network, 'T': 1, 'neuron': _counts_of(neuron)}
    if 'hidden' in network:
        counted['hidden'] = _counts_of({**neuron, **network['hidden']})
    if 'stages' in network:
        counted['stages'] = {name: _counts_of(spec) for name, spec in network['stages'].items()}
    return counted


def _coded(spec: Mapping[str, Any]) -> type[CodedCounts] | None:
    """The class of a neuron's block, if it tells counts in a code."""
    kind = NEURONS.get(spec.get('type', ''))
    return kind if isinstance(kind, type) and issubclass(kind, CodedCounts) else None


def _counts_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The whole block of a coded neuron as that of a ``SignedILIF``."""
    kind = _coded(spec)
    if kind is None:
        return dict(spec)
    steps = spec.get('steps', inspect.signature(kind).parameters['steps'].default)
    lowest = spec.get('lowest', 0)
    highest = spec.get('highest') or kind.largest_count(steps, lowest < 0)
    if -lowest > highest:
        raise UserError(f'{kind.__name__} with lowest: {lowest} and highest: {highest} reaches farther below zero than '
                        f'above, which no SignedILIF does, so that it has no form in one step; write highest: '
                        f'{-lowest} or more.')
    kept = {key: value for key, value in spec.items() if key in ('threshold', 'bias')}
    return {'type': 'SignedILIF', 'D': highest, 'lowest': lowest, **kept}
