"""Running sums behind a report: of one layer, one neuron layer, one operator that is not counted."""
from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from basicsr_snn.energy.memory import (
    Overhead,
    bias_overhead,
    dense_overhead,
    event_overhead,
    neuron_overhead,
    spike_overhead,
)
from basicsr_snn.energy.operators import Executed
from basicsr_snn.energy.report import LayerCount, NeuronCount, UncountedOperator

SUMMED = tuple(one.name for one in fields(Executed) if one.name not in ('op', 'whole', 'weights'))


class LayerTally:
    """All executions of one operator in one module; whether they count as MACs or ACs is known when all have run."""

    def __init__(self) -> None:
        self.calls = self.whole_calls = self.weights = 0
        self.sums: dict[str, Any] = dict.fromkeys(SUMMED, 0)

    def add(self, run: Executed) -> None:
        """Add one execution."""
        self.calls += 1
        self.whole_calls += run.whole
        self.weights = max(self.weights, run.weights)
        for name in SUMMED:
            self.sums[name] += getattr(run, name)

    @property
    def mixed(self) -> bool:
        """Whether it read integers in some executions only."""
        return 0 < self.whole_calls < self.calls

    def count(self, name: str, op: str, pictures: int, steps: int, spiking_network: bool) -> LayerCount:
        """The layer's figures.

        Args:
            name: Its module path.
            op: Its operator.
            pictures: Pictures that the network saw.
            steps: The network's T.
            spiking_network: Whether the network has spiking neurons.
        """
        silent_ann = not spiking_network and not self.sums['events']  # dead ReLUs read zeros, which are no spikes
        reads_spikes = self.whole_calls == self.calls and not silent_ann
        run = Executed(op=op, whole=reads_spikes, weights=self.weights, **self.sums)
        repeated = reads_spikes or run.batch == steps * pictures
        share = 1 / steps if repeated else 1.0
        passes = run.batch or pictures * (steps if repeated else 1)
        if reads_spikes:
            per_event, fixed = event_overhead(run, passes), bias_overhead(run)
        else:
            per_event, fixed = dense_overhead(run, passes, writes_output=not spiking_network), Overhead()
        return LayerCount(
            name=name, op=op, calls=self.calls, reads_spikes=reads_spikes, macs=0.0 if reads_spikes else run.macs,
            acs=run.acs if reads_spikes else 0.0, effective_acs=run.effective_acs if reads_spikes else 0.0,
            effective_macs=0.0 if reads_spikes else run.effective_macs,
            twin_macs=run.macs * share, inputs=run.inputs, events=run.events if reads_spikes else 0.0,
            events_overhead=per_event, fixed_overhead=fixed,
            twin_overhead=dense_overhead(run, passes, writes_output=True, share=share))


@dataclass
class NeuronTally:
    """All executions of one neuron layer.

    Attributes:
        limit: Largest count that a neuron may emit in a step.
        leaks: Whether its membrane potential leaks from step to step.
        in_digits: Largest count that its steps tell together as digits; 0 where all steps are worth the same.
    """

    limit: int
    leaks: bool
    in_digits: int = 0
    passes: int = 0
    updates: int = 0
    active: int = 0
    events: float = 0.0
    max_count: float = 0.0

    @torch.no_grad()
    def add(self, spikes: Tensor, passes: int) -> None:
        """Add the spikes of one call; ``passes`` is pictures times steps that it held."""
        counts = spikes.abs()
        self.passes += passes
        self.updates += spikes.numel()
        self.active += int(torch.count_nonzero(counts))
        channels = 2 if spikes.dim() == 5 else 1  # along channels first: fast in channels_last, and exact in float32
        along = counts.sum(channels, dtype=torch.float32) if spikes.dim() > channels else counts
        self.events += float(along.sum(dtype=torch.float64))
        self.max_count = max(self.max_count, float(counts.amax()) if counts.numel() else 0.0)

    def steps(self, pictures: int) -> int:
        """Time steps in which it ran for each of the network's pictures."""
        return max(1, round(self.passes / pictures))

    def largest(self, steps: int) -> int:
        """Largest count that ``steps`` steps tell together."""
        return self.in_digits or steps * self.limit

    def count(self, name: str) -> NeuronCount:
        """The neuron layer's figures."""
        return NeuronCount(
            name=name, updates=self.updates, events=self.events, active=self.active, max_count=self.max_count,
            limit=self.limit, fixed_overhead=neuron_overhead(self.updates, self.passes, self.leaks),
            events_overhead=spike_overhead(self.events))


@dataclass
class UncountedTally:
    """All executions of one operator that is not counted."""

    layer: str
    light: bool
    calls: int = 0
    elements: int = 0

    def add(self, elements: int) -> None:
        """Add one execution with so many results."""
        self.calls += 1
        self.elements += elements

    def count(self, op: str) -> UncountedOperator:
        """The operator's figures."""
        return UncountedOperator(op, self.layer, self.calls, self.elements, self.light)
