"""What a training step costs on a GPU: launches or arithmetic, by batch and form. ``python benchmarks/gpu_step.py``.

A step is that of the option files: losses, clipping, optimiser and moving average, without data. "busy" is the time in
which the GPU computes, by torch's profiler; the rest of the step it waits for its launches.
"""
from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import torch
from rich.console import Console
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from training_steps import OPTIONS, step, trained_model

from basicsr_snn.models.divergence import Divergence, Step
from basicsr_snn.models.snn_model import SNNModel
from basicsr_snn.pipeline.option_files import read_options

FORMS = {
    'plain': {},
    'fused': {'neuron': {'compile': True}},
    'plain, NCHW': {'contiguous': True},
    'fused, amp': {'neuron': {'compile': True}, 'amp': True},
    'captured': {'captured': True},
    'captured, fused': {'neuron': {'compile': True}, 'captured': True},
    'plain, no budget': {'budget': False},
    'whole network compiled, no budget': {'budget': False, 'compiled': True},
    'plain, never looks for NaN': {'checked': False},
}
"""Forms of the step: fused neurons, memory format, bfloat16, ``train: cuda_graph``, ``torch.compile``, and without the
look for values that are not finite."""

COLUMNS = ('network', 'form', 'batch', 'ms a step', 'GPU busy, ms', 'kernels', 'crops a second', 'peak MB')


def model_of(options: Path, batch: tuple[int, ...], neuron: dict[str, Any] | None = None, amp: bool = False,
             contiguous: bool = False, captured: bool = False, compiled: bool = False,
             checked: bool = True, budget: bool = True) -> SNNModel:
    """The model of an option file on the first GPU in one of the forms."""
    read = read_options(options)
    read['train'].update(amp=amp, cuda_graph=captured)
    if not budget:  # its hooks collect spikes, which torch.compile sees as ever new code
        read['train'].pop('rate_opt', None)
    read['path'] = {'pretrain_network_g': None}
    model = trained_model(read, batch, num_gpu=1, **(neuron or {}))
    if contiguous:
        model.net_g.to(memory_format=torch.contiguous_format)
        model.batch = replace(model.batch, lq=model.batch.lq.contiguous())
    if compiled:
        model.net_g.compile(dynamic=False)
    if not checked:
        model.divergence = Unchecked(model.device, advice=str)
    return model


class Unchecked(Divergence):
    """Lets every step through without a look at it."""

    def allows(self, iteration: int, step: Step, norms: Iterable[Tensor]) -> bool:
        return True


def measured(model: SNNModel, steps: int) -> tuple[float, float, float]:
    """Seconds of a step, seconds of it that the GPU is busy, kernels launched."""
    task = step(model)
    for _ in range(5):
        task()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        task()
    torch.cuda.synchronize()
    seconds = (time.perf_counter() - start) / steps
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as recorded:
        for _ in range(3):
            task()
        torch.cuda.synchronize()
    kernels = [event for event in recorded.events() if event.device_type == DeviceType.CUDA]
    return seconds, sum(event.device_time for event in kernels) / 3e6, len(kernels) / 3


def row(options: Path, form: str, side: int, crops: int, steps: int) -> list[str]:
    torch.cuda.reset_peak_memory_stats()
    model = model_of(options, (crops, 3, side, side), **FORMS[form])
    seconds, busy, kernels = measured(model, steps)
    peak = torch.cuda.max_memory_allocated() / 1e6
    return [options.stem, form, f'{crops}x{side}x{side}', f'{1e3 * seconds:.1f}', f'{1e3 * busy:.1f}',
            f'{kernels:.0f}', f'{crops / seconds:,.0f}', f'{peak:,.0f}']


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-opt', nargs='+', type=Path, metavar='X.yml',
                        default=[OPTIONS / 'control_color25.yml', OPTIONS / 'base_color25.yml'])
    parser.add_argument('--batches', nargs='+', default=['8x48', '16x64', '64x64'], help='crops x side')
    parser.add_argument('--forms', nargs='+', choices=FORMS, default=list(FORMS))
    parser.add_argument('--steps', type=int, default=30)
    parser.add_argument('--markdown', type=Path)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error('this machine has no CUDA device; benchmarks/speed.py measures on CPUs.')
    torch.backends.cudnn.benchmark = True  # as BasicSR's training sets it
    lines = [f'| {" | ".join(COLUMNS)} |', '|' + '---|' * len(COLUMNS)]
    for options in args.opt:
        for form in args.forms:
            for batch in args.batches:
                crops, side = map(int, batch.split('x'))
                lines.append(f'| {" | ".join(row(options, form, side, crops, args.steps))} |')
                Console().print(lines[-1], markup=False)
                if args.markdown:
                    ending = f'\n{torch.cuda.get_device_name()}, torch {torch.__version__}, one process.\n'
                    args.markdown.write_text('\n'.join(lines) + '\n' + ending, encoding='utf-8')


if __name__ == '__main__':
    main()
