"""One trained network at each number of steps: quality and energy against T.

``python studies/distillation/any_time.py -opt options/train/distillation/decoupled.yml --weights W``
"""
from __future__ import annotations

import argparse
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
from rich.progress import track

from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder
from basicsr_snn.bench.measuring import measure
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.zoo.trained_network import TrainedNetwork


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-opt', type=Path, required=True)
    parser.add_argument('--weights', type=Path, required=True)
    parser.add_argument('-i', '--input', type=Path, default=Path('datasets/CBSD68'))
    parser.add_argument('--pictures', type=int, default=8, help='default: %(default)s')
    parser.add_argument('--steps', type=int, nargs='+', default=[1, 2, 3, 4, 6, 8])
    parser.add_argument('--markdown', type=Path, default=Path(__file__).with_name('any_time.md'))
    args = parser.parse_args()
    options = read_options(args.opt)
    pictures = EvaluationSet(block_of_folder(args.input, options['datasets']['val']['sigma'], 3), args.pictures)
    lines = ['| T | PSNR dB | ACs/px | nJ/px | s/Mpx |', '|---|---|---|---|---|']
    for steps in track(args.steps):
        network = {**options['network_g'], 'T': steps}
        row = measure(TrainedNetwork(f'T={steps}', network, args.weights, 'params_ema', strict=False), pictures)
        lines.append(f'| {steps} | {row.psnr:.2f} | {row.acs_per_px:,.0f} | {row.energy_nj_px_fp32:.1f} | '
                     f'{row.s_per_mpx:.2f} |')
    text = '\n'.join(lines) + f'\n\n{pictures.describe()}, weights {args.weights.stem} of {args.opt.stem}.\n'
    args.markdown.write_text(text, encoding='utf-8')
    print(text)


if __name__ == '__main__':
    main()
