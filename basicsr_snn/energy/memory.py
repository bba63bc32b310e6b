"""Memory traffic and addressing of the counted operations, by the analytical model of Lemaire et al. (2022).

The costs and formulas are those of SpikingJelly's ``estimate_lemaire_energy`` (arXiv 2210.13107), applied to our
counts: SpikingJelly's own estimator takes binary spikes only, so that integer counts would pass for floats, and it
knows no neuron but ``IFNode`` and ``LIFNode``. An integer count of k is k events here, too. Where the paper estimates
an event's fan-out from kernel and stride, ours is the counted one, at the real borders. Buffers are as large as the
mean picture needs. Nothing is reused: each operation reads its operands from SRAM, in spiking layers as in others.
"""
from __future__ import annotations

from dataclasses import dataclass

from spikingjelly.activation_based.op_counter import LemaireEnergyConfig, LemaireEnergyCostConfig

from basicsr_snn.energy.operators import Executed
from basicsr_snn.energy.presets import EnergyPreset

COSTS = LemaireEnergyCostConfig()
FIFO_WORDS = LemaireEnergyConfig().snn_fifo_capacity_elements
"""Capacity of the queue between spiking layers; the paper's experiments take 1000 messages."""


@dataclass(frozen=True)
class Traffic:
    """Accesses to one memory.

    Attributes:
        buffer: ``input``, ``output``, ``parameters`` or ``potentials``.
        words: Words read or written.
        capacity: Words that the memory must hold; larger memories cost more for each access.
    """

    buffer: str
    words: float
    capacity: float


@dataclass(frozen=True)
class Overhead:
    """What a layer costs beside its MACs and ACs.

    Attributes:
        adds: 32-bit integer additions for addresses, biases and resets.
        macs: 32-bit integer multiply-accumulates for addresses and leaks.
        traffic: Memory accesses.
    """

    adds: float = 0.0
    macs: float = 0.0
    traffic: tuple[Traffic, ...] = ()

    def __add__(self, other: Overhead) -> Overhead:
        return Overhead(self.adds + other.adds, self.macs + other.macs, self.traffic + other.traffic)

    def pj(self, preset: EnergyPreset) -> float:
        """Energy in pJ with words of the preset; 0 where its figures hold the memory access already."""
        if preset.word_bytes is None:
            return 0.0
        accesses = sum(one.words * preset.word_bytes * COSTS.memory_cost_pj(one.capacity * preset.word_bytes)
                       for one in self.traffic)
        return accesses + self.adds * COSTS.e_add_pj + self.macs * (COSTS.e_mul_pj + COSTS.e_add_pj)


def dense_overhead(run: Executed, passes: float, writes_output: bool, share: float = 1.0) -> Overhead:
    """Overhead of one execution that reads floats.

    Args:
        run: What was executed.
        passes: Pictures times steps that it held, by which buffers are smaller.
        writes_output: Whether the result goes to memory; in a spiking network it goes to the membrane potentials, whose
            accesses belong to the neuron.
        share: Part of the execution that counts, 1/T for the twin of a layer that ran T times.
    """
    reads = run.macs if run.op == 'convolution' else run.inputs
    traffic = [Traffic('input', share * reads, run.inputs / passes),
               Traffic('parameters', share * (run.macs + run.bias), run.weights)]
    if writes_output:
        traffic.append(Traffic('output', share * run.outputs, run.outputs / passes))
    return Overhead(share * (run.inputs + run.outputs + run.kernel_positions + run.bias), 0.0, tuple(traffic))


def event_overhead(run: Executed, passes: int) -> Overhead:
    """Overhead of the events of one execution that reads spikes; its bias is :func:`bias_overhead`."""
    located = 2 * run.events if run.op == 'convolution' else 0.0  # two products find an event's first output
    return Overhead(run.acs, located, (
        Traffic('input', run.events, FIFO_WORDS), Traffic('parameters', run.acs, run.weights),
        Traffic('potentials', 2 * run.acs, run.outputs / passes)))


def bias_overhead(run: Executed) -> Overhead:
    """Overhead of the bias of one execution that reads spikes."""
    return Overhead(run.bias, 0.0, (Traffic('parameters', run.bias, run.weights),)) if run.bias else Overhead()


def neuron_overhead(updates: int, passes: int, leaks: bool) -> Overhead:
    """Overhead of the updates of a neuron layer: its potentials, read and written, and its leak."""
    return Overhead(0.0, float(updates) if leaks else 0.0, (Traffic('potentials', 2 * updates, updates / passes),))


def spike_overhead(events: float) -> Overhead:
    """Overhead of emitted spikes: the reset and the message."""
    return Overhead(events, 0.0, (Traffic('output', events, FIFO_WORDS),))
