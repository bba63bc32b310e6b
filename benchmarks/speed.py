"""Speed and memory as ratios within one run, beside their targets. ``python benchmarks/speed.py --markdown F``."""
from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import basicsr_snn  # before spikingjelly and basicsr

# isort: split
import torch
from measuring import machine, median_times
from rich.console import Console
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn
from training_steps import BATCH, binary_step, distilling_step, spiking_step, twin_step

from basicsr_snn.archs.esdnet_arch import ESDNet
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.bench.measuring import peak_allocation_mb
from basicsr_snn.inference.calling import deployed
from basicsr_snn.spiking.neurons import build_neuron, reset_to_rest

NEURON_SHAPE = (4, 4, 32, 64, 64)
PICTURE = (1, 3, 512, 512)
SMALL_PICTURE = (1, 3, 192, 192)


@dataclass(frozen=True)
class Comparison:
    """One row: how much ``candidate`` takes in units of ``reference``, and at most how much it should."""

    what: str
    candidate: str
    reference: str
    taken: float
    taken_by_reference: float
    target: float | None = None

    @property
    def ratio(self) -> float:
        return self.taken / self.taken_by_reference


def neuron_step(layer: nn.Module, backward: bool) -> Callable[[], None]:
    def channels_last() -> Tensor:
        steps, batch, channels, height, width = NEURON_SHAPE
        return torch.randn(steps, batch, height, width, channels).movedim(-1, 2)

    x = channels_last().requires_grad_(backward)
    with torch.no_grad():  # PhaseIF trains as the counts of a single step
        towards = torch.randn_like(layer(x))
    reset_to_rest(layer)

    def run() -> None:
        x.grad = None
        with torch.set_grad_enabled(backward):
            spikes = layer(x)
            if backward:
                spikes.backward(towards)
        reset_to_rest(layer)

    return run


def inference(net: nn.Module, shape: tuple[int, ...]) -> Callable[[], None]:
    picture = torch.rand(shape)

    @torch.inference_mode()
    def run() -> None:
        net(picture)

    return run


def student(**spec: object) -> SpikerIR:
    torch.manual_seed(0)
    return deployed(SpikerIR(neuron=spec))


def compare_neurons(rounds: int) -> list[Comparison]:
    rows = []
    count = surrogate.MultiLevelSpikeCount(4)
    for name, theirs in (('LIFNode', neuron.LIFNode(surrogate_function=surrogate.ATan(), step_mode='m')),
                         ('SignedILIF', neuron.ILIFNode(surrogate_function=count, step_mode='m'))):
        fused = build_neuron({'type': name, 'compile': True}, NEURON_SHAPE[2])
        for backward, target in ((False, 1 / 6), (True, 1 / 3)):
            tasks = {'ours': neuron_step(fused, backward), 'theirs': neuron_step(theirs, backward)}
            times = median_times(tasks, rounds)
            what = f'neuron, {"forward and backward" if backward else "forward"}, {list(NEURON_SHAPE)}'
            rows.append(Comparison(what, f'{name}, fused', f'SpikingJelly {type(theirs).__name__}', *times.values(),
                                   target))
    return rows


def compare_training(rounds: int) -> list[Comparison]:
    tasks = {'twin': twin_step(), 'fused': spiking_step(compile=True), 'plain': spiking_step(),
             'binary': binary_step(), 'last layer': distilling_step(compile=True),
             'two thirds': distilling_step('model.14', compile=True)}
    times = median_times(tasks, rounds)
    what = f'training step, small, {list(BATCH)}'
    compared = [('fused', 'SignedILIF, T=1, fused', 'twin', 1.25), ('plain', 'SignedILIF, T=1', 'twin', None),
                ('binary', 'LIFNode, T=4, fused', 'twin', 4.2),
                ('two thirds', 'H-KD, hint from FFDNet model.14', 'fused', 1.8),
                ('last layer', 'H-KD, hint from FFDNet model.20', 'fused', 1.8)]
    names = {'twin': 'ANN twin', 'fused': 'no teacher'}
    return [Comparison(what, candidate, names[reference], times[key], times[reference], target)
            for key, candidate, reference, target in compared]


def settled_peak_mb(task: Callable[[], None]) -> float:
    """Peak of a step that is not the first, which makes the optimiser's state."""
    task()
    return peak_allocation_mb(task)


def compare_memory() -> list[Comparison]:
    twin = settled_peak_mb(twin_step())
    what = f'peak memory of a training step, small, {list(BATCH)}'
    compared = [('SignedILIF, T=1', spiking_step(), 1.3), ('SignedILIF, T=1, fused', spiking_step(compile=True), 1.3),
                ('LIFNode, T=4, fused', binary_step(), None),
                ('LIFNode, T=4, fused, micro_batches: 4', binary_step(micro_batches=4), 2.0)]
    return [Comparison(what, candidate, 'ANN twin', settled_peak_mb(task), twin, target)
            for candidate, task, target in compared]


def compare_inference(rounds: int) -> list[Comparison]:
    times = median_times({'plain': inference(student(type='SignedILIF'), PICTURE),
                          'fused': inference(student(type='SignedILIF', compile=True), PICTURE),
                          'twin': inference(student(type='relu'), PICTURE),
                          'FFDNet': inference(basicsr_snn.load('ffdnet_color'), PICTURE)}, rounds)
    what = f'inference, small, {PICTURE[-1]}x{PICTURE[-2]}'
    rows = [Comparison(what, f'SignedILIF, T=1{form}', other, times[key], times[reference], target)
            for key, form in (('plain', ''), ('fused', ', fused'))
            for reference, other, target in (('twin', 'ANN twin', 1.1), ('FFDNet', 'FFDNet', 1 / 4))]
    torch.manual_seed(0)
    times = median_times({'small': inference(student(type='SignedILIF'), SMALL_PICTURE),
                          'ESDNet': inference(deployed(ESDNet(dim=24)), SMALL_PICTURE)}, rounds)
    what = f'inference, small, {SMALL_PICTURE[-1]}x{SMALL_PICTURE[-2]}'
    return [*rows, Comparison(what, 'SignedILIF, T=1', 'ESDNet, dim 24, T=4', *times.values(), 1 / 20)]


def markdown(rows: list[Comparison], rounds: int) -> str:
    lines = ['| what | candidate | reference | candidate | reference | ratio | target |', f'|{7 * "---|"}']
    for row in rows:
        unit, digits = ('MB', 1) if 'memory' in row.what else ('s', 4)
        target = '' if row.target is None else f'<= {row.target:.3g}{"" if row.ratio <= row.target else ", missed"}'
        lines.append(f'| {row.what} | {row.candidate} | {row.reference} | {row.taken:.{digits}f} {unit} | '
                     f'{row.taken_by_reference:.{digits}f} {unit} | {row.ratio:.3f} | {target} |')
    return '\n'.join([*lines, '', f'Medians of {rounds} alternating rounds, {machine()}.', ''])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=9, help='measured rounds (default: %(default)s)')
    parser.add_argument('--markdown', type=Path, metavar='F', help='also write the table to this file')
    args = parser.parse_args()
    rows = [*compare_neurons(args.rounds), *compare_training(args.rounds), *compare_memory(),
            *compare_inference(args.rounds)]
    table = markdown(rows, args.rounds)
    Console().print(table, markup=False, soft_wrap=True)
    if args.markdown:
        args.markdown.write_text(table, encoding='utf-8')


if __name__ == '__main__':
    main()
