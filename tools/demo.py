"""The demo: distil a tiny spiking student from an ordinary network on the bundled photographs, then denoise one that it
has never seen.

Run from the repository's root by ``make demo``. Leaves ``results/demo``: a before/after picture, the training curve and
the denoised photograph.
"""
from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import basicsr_snn  # before basicsr, which it repairs

# isort: split
import matplotlib
import torch
from basicsr.metrics import calculate_psnr
from basicsr.utils import tensor2img
from rich.console import Console
from rich.table import Table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from basicsr_snn import zoo
from basicsr_snn.cli.main import main as command
from basicsr_snn.energy import EnergyReport, OperationCounter
from basicsr_snn.images.files import read_picture, to_tensor
from basicsr_snn.images.listing import list_pictures
from basicsr_snn.images.noise import add_gaussian_noise
from basicsr_snn.inference.calling import deployed
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.zoo.weights import load_weights

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # the backend comes first

OPTIONS = Path('options/train/demo.yml')
PICTURES = Path('datasets/demo/val')
RESULTS = Path('results/demo')
STUDENT = Path('experiments/demo/models/net_g_latest.pth')
SHIPPED = 'spikerir_small_color25'
SIGMA = 25
NEEDED_GAIN = 6.0
"""Gain over the noisy input in dB below which the demo counts as failed."""


def psnr(restored: Tensor, clean: Tensor) -> float:
    """PSNR in dB of 8-bit RGB pictures, BasicSR's own measure."""
    return calculate_psnr(tensor2img(restored), tensor2img(clean), crop_border=0)


def restore_all(net: nn.Module, noisy: list[Tensor]) -> tuple[list[Tensor], EnergyReport]:
    """Restored pictures, and what restoring them cost."""
    with torch.inference_mode(), OperationCounter(net) as counter:
        restored = [net(picture) for picture in noisy]
    return restored, counter.report()


def trained_student() -> nn.Module:
    net = zoo.build(read_options(OPTIONS)['network_g'])
    load_weights(net, STUDENT, 'params_ema')
    return deployed(net)


def result_table(noisy_db: float, rows: dict[str, tuple[float, EnergyReport]]) -> Table:
    table = Table(title=f'{PICTURES}: Gaussian noise, sigma {SIGMA}, pictures not trained on')
    for column in ('', 'PSNR dB', 'params', 'MACs/px', 'ACs/px', 'spikes', 'nJ/px'):
        table.add_column(column, justify='right' if column else 'left')
    table.add_row('noisy input', f'{noisy_db:.2f}', *['-'] * 5)
    for name, (decibels, report) in rows.items():
        table.add_row(name, f'{decibels:.2f}', f'{report.params:,d}', f'{report.macs_per_px:,.0f}',
                      f'{report.acs_per_px:,.0f}', f'{report.firing_rate:.2f}' if report.events else '-',
                      f'{report.energy_nj_px():,.1f}')
    table.caption = ('spikes: for each neuron and step; nJ/px: 45 nm fp32, 4.6 pJ a MAC and 0.9 pJ an AC, arithmetic '
                     'only')
    return table


def draw_pictures(pictures: dict[str, list[Tensor]], clean: list[Tensor], file: Path) -> None:
    """One row a photograph: the same part of it in each version, with its PSNR."""
    figure, axes = plt.subplots(len(clean), len(pictures), squeeze=False,
                                figsize=(3.1 * len(pictures), 3.8 * len(clean)))
    for row, truth in enumerate(clean):
        for column, (name, versions) in enumerate(pictures.items()):
            height, width = truth.shape[-2:]
            top, left = (height - 192) // 2, (width - 192) // 2
            part = versions[row][0].clamp(0, 1).permute(1, 2, 0)[top:top + 192, left:left + 192]
            decibels = psnr(versions[row], truth)
            axes[row, column].imshow(part.numpy())
            axes[row, column].set_title(name if math.isinf(decibels) else f'{name}\n{decibels:.2f} dB', fontsize=18)
            axes[row, column].axis('off')
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def draw_training(events: Path, noisy_db: float, file: Path) -> None:
    """Image loss and validation PSNR over the iterations."""
    scalars = EventAccumulator(str(events)).Reload()
    loss, quality = scalars.Scalars('losses/l_pix'), scalars.Scalars('metrics/demo_val/psnr')
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    left.plot([e.step for e in loss], [e.value for e in loss])
    left.set(xlabel='iteration', ylabel='L1 to the clean picture', title='Training loss', yscale='log')
    right.plot([e.step for e in quality], [e.value for e in quality], marker='o', label='spiking student')
    right.axhline(noisy_db, color='grey', linestyle='--', label='noisy input')
    right.set(xlabel='iteration', ylabel='PSNR, dB', title='Pictures not trained on')
    right.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main() -> int:
    console = Console()
    start = time.time()
    if command(['train', '-opt', str(OPTIONS)]) != 0:
        return 1
    trained = time.time() - start
    RESULTS.mkdir(parents=True, exist_ok=True)
    arrays = [read_picture(file).pixels for file in list_pictures(PICTURES)]
    clean = [to_tensor(pixels)[None] for pixels in arrays]
    noisy = [to_tensor(add_gaussian_noise(pixels, SIGMA))[None] for pixels in arrays]
    networks = {'tiny student': trained_student(), 'small student': basicsr_snn.load(SHIPPED),
                'FFDNet (ANN)': basicsr_snn.load('ffdnet_color')}
    restored = {name: restore_all(net, noisy) for name, net in networks.items()}

    def mean_psnr(pictures: list[Tensor]) -> float:
        return sum(psnr(picture, truth) for picture, truth in zip(pictures, clean, strict=True)) / len(clean)

    noisy_db, student_db = mean_psnr(noisy), mean_psnr(restored['tiny student'][0])
    versions = {'noisy': noisy, **{name: pictures for name, (pictures, _) in restored.items()}, 'clean': clean}
    draw_pictures(versions, clean, RESULTS / 'before_after.png')
    draw_training(Path('tb_logger/demo'), noisy_db, RESULTS / 'training_curve.png')
    denoised = command(['denoise', '-i', str(list_pictures(PICTURES)[0]), '-o', str(RESULTS / 'denoised'),
                        '--overwrite', '--noise', str(SIGMA), '--gt', '-opt', str(OPTIONS), '--weights', str(STUDENT)])
    console.print(result_table(noisy_db, {name: (mean_psnr(pictures), cost)
                                          for name, (pictures, cost) in restored.items()}))
    console.print(f'The tiny student was trained just now, the small one is shipped as {SHIPPED}.')
    console.print(f'Trained in {trained:.0f} s. See {RESULTS}/before_after.png, {RESULTS}/training_curve.png and '
                  f'{RESULTS}/denoised.')
    if student_db < noisy_db + NEEDED_GAIN:
        console.print(f'The student gained {student_db - noisy_db:.2f} dB, less than {NEEDED_GAIN:.0f} dB.')
        return 1
    return denoised


if __name__ == '__main__':
    sys.exit(main())
