"""Speed as ratios within one run: neurons, training steps, inference. ``python benchmarks/speed.py --markdown F``."""
from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import basicsr_snn  # before spikingjelly and basicsr

# isort: split
import torch
from rich.console import Console
from rich.progress import track
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.restoring import deployed
from basicsr_snn.spiking.neurons import build_neuron, reset_to_rest

NEURON_SHAPE = (4, 4, 32, 64, 64)
PATCHES = (8, 3, 64, 64)
PICTURE = (1, 3, 512, 512)


@dataclass(frozen=True)
class Comparison:
    """One row: how long ``candidate`` takes in units of ``reference``."""

    what: str
    candidate: str
    reference: str
    candidate_s: float
    reference_s: float

    @property
    def ratio(self) -> float:
        return self.candidate_s / self.reference_s


def median_times(tasks: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each task; the tasks take turns, after one warm-up round."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for current in track(range(rounds + 1), description=' / '.join(tasks), transient=True):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if current:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(measured) for name, measured in times.items()}


def neuron_step(layer: nn.Module, backward: bool) -> Callable[[], None]:
    x = torch.randn(NEURON_SHAPE, requires_grad=backward)
    towards = torch.randn(NEURON_SHAPE)

    def run() -> None:
        with torch.set_grad_enabled(backward):
            spikes = layer(x)
            if backward:
                spikes.backward(towards)
        reset_to_rest(layer)

    return run


def training_step(net: nn.Module, teacher: nn.Module | None = None) -> Callable[[], None]:
    net = net.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    clean = torch.rand(PATCHES).to(memory_format=torch.channels_last)
    noisy = clean + 0.1 * torch.randn_like(clean)

    def run() -> None:
        restored = net(noisy)
        loss = (restored - clean).abs().mean()
        if teacher is not None:
            with torch.no_grad():
                taught = teacher(noisy)
            loss = loss + (restored - taught).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return run


def inference(net: nn.Module, picture: Tensor) -> Callable[[], None]:
    @torch.inference_mode()
    def run() -> None:
        net(picture)

    return run


def student(neuron_type: str, steps: int = 1) -> SpikerIR:
    torch.manual_seed(0)
    return SpikerIR(T=steps, neuron={'type': neuron_type})


def compare_neurons(rounds: int) -> list[Comparison]:
    rows = []
    for name, reference in (('SignedILIF', 'SpikingJelly ILIFNode'), ('LIFNode', 'SpikingJelly LIFNode')):
        for backward in (False, True):
            theirs = neuron.LIFNode(step_mode='m') if name == 'LIFNode' else neuron.ILIFNode(
                surrogate_function=surrogate.MultiLevelSpikeCount(4), step_mode='m')
            times = median_times({'ours': neuron_step(build_neuron({'type': name}, NEURON_SHAPE[2]), backward),
                                  'theirs': neuron_step(theirs, backward)}, rounds)
            what = f'neuron, {"forward and backward" if backward else "forward"}, {list(NEURON_SHAPE)}'
            rows.append(Comparison(what, name, reference, times['ours'], times['theirs']))
    return rows


def compare_training(rounds: int) -> list[Comparison]:
    teacher = basicsr_snn.load('ffdnet_color')
    times = median_times({'twin': training_step(student('relu')), 'student': training_step(student('SignedILIF')),
                          'binary': training_step(student('LIFNode', 4)),
                          'distilled': training_step(student('SignedILIF'), teacher)}, rounds)
    what = f'training step, small, {list(PATCHES)}'
    return [Comparison(what, 'SignedILIF, T=1', 'ANN twin', times['student'], times['twin']),
            Comparison(what, 'LIFNode, T=4', 'ANN twin', times['binary'], times['twin']),
            Comparison(what, 'with FFDNet as teacher', 'without', times['distilled'], times['student'])]


def compare_inference(rounds: int) -> list[Comparison]:
    picture = torch.rand(PICTURE)
    times = median_times({'student': inference(deployed(student('SignedILIF')), picture),
                          'twin': inference(deployed(student('relu')), picture),
                          'FFDNet': inference(basicsr_snn.load('ffdnet_color'), picture)}, rounds)
    what = f'inference, small, {PICTURE[-1]}x{PICTURE[-2]}'
    return [Comparison(what, 'SignedILIF, T=1', other, times['student'], times[key])
            for other, key in (('ANN twin', 'twin'), ('FFDNet', 'FFDNet'))]


def markdown(rows: list[Comparison], rounds: int) -> str:
    lines = ['| what | candidate | reference | candidate s | reference s | ratio |', '|---|---|---|---|---|---|']
    lines += [f'| {row.what} | {row.candidate} | {row.reference} | {row.candidate_s:.4f} | {row.reference_s:.4f} | '
              f'{row.ratio:.2f} |' for row in rows]
    machine = (f'Medians of {rounds} alternating rounds, {torch.get_num_threads()} threads, {platform.machine()}, '
               f'torch {torch.__version__}, spikingjelly {version("spikingjelly")}.')
    return '\n'.join([*lines, '', machine, ''])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=7, help='measured rounds (default: %(default)s)')
    parser.add_argument('--markdown', type=Path, metavar='F', help='also write the table to this file')
    args = parser.parse_args()
    rows = [*compare_neurons(args.rounds), *compare_training(args.rounds), *compare_inference(args.rounds)]
    table = markdown(rows, args.rounds)
    Console().print(table, markup=False)
    if args.markdown:
        args.markdown.write_text(table, encoding='utf-8')


if __name__ == '__main__':
    main()
