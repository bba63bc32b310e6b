"""Where the time of one training step goes, by operator. ``python benchmarks/profile_step.py -opt X.yml``."""
from __future__ import annotations

import argparse
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile
from training_steps import OPTIONS, step, trained_model

from basicsr_snn.pipeline.option_files import read_options

STEPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-opt', type=Path, default=OPTIONS / 'control_color25.yml', metavar='X.yml')
    parser.add_argument('--compile', action='store_true', help='fused neurons')
    parser.add_argument('--rows', type=int, default=15, help='operators shown (default: %(default)s)')
    args = parser.parse_args()
    task = step(trained_model(read_options(args.opt), **({'compile': True} if args.compile else {})))
    for _ in range(3):
        task()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(STEPS):
            task()
    operators = sorted(recorded.key_averages(), key=lambda operator: -operator.self_cpu_time_total)
    total = sum(operator.self_cpu_time_total for operator in operators)
    table = Table('operator', 'ms a step', 'share', 'calls a step', title=f'{args.opt}: {total / STEPS / 1e3:.0f} ms')
    for operator in operators[:args.rows]:
        table.add_row(operator.key[:60], f'{operator.self_cpu_time_total / STEPS / 1e3:.1f}',
                      f'{operator.self_cpu_time_total / total:.1%}', f'{operator.count / STEPS:g}')
    Console().print(table)


if __name__ == '__main__':
    main()
