"""What a teacher for white noise makes of photographs by the level that it is told: the table of
docs/how-to/real-noise.md.

    python studies/real_noise/told_levels.py

The middle of every third pair of PolyU's training scenes, 256x256; PSNR in dB against the mean of many exposures.
"""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import basicsr_snn  # before basicsr

# isort: split
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from basicsr_snn import zoo
from basicsr_snn.data.real_pairs_dataset import RealPairsDataset
from basicsr_snn.engines.placing import place
from basicsr_snn.images.noise_level import estimate_camera_noise, estimate_noise_level
from basicsr_snn.images.scoring import eight_bits, psnr
from basicsr_snn.inference.other_pictures import with_contrast
from basicsr_snn.zoo.trained_network import named_network

FOLDER, TRAINING_SCENES, EVERY, MIDDLE = Path('datasets/PolyU'), [0, 67], 3, slice(128, 384)
LEVELS = (5.0, 7.5, 10.0, 12.5, 15.0, 20.0, 25.0)
BASE = 'spikerir_base_color25'


def pairs() -> Iterator[tuple[Tensor, Tensor, np.ndarray]]:
    """Noisy and true middle, (1, 3, H, W), and the whole noisy picture, (H, W, 3)."""
    dataset = RealPairsDataset({'name': 'PolyU', 'phase': 'val', 'dataroot_gt': str(FOLDER), 'subset': TRAINING_SCENES})
    for place_of_pair in track(range(0, len(dataset), EVERY), 'pairs', console=Console(stderr=True)):
        item = dataset[place_of_pair]
        noisy, clean = (item[key][None, :, MIDDLE, MIDDLE].contiguous() for key in ('lq', 'gt'))
        yield noisy, clean, item['lq'].permute(1, 2, 0).numpy()


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    ffdnet, base = basicsr_snn.load('ffdnet_color'), place(named_network(BASE), 'torch').net
    found: dict[str, list[float]] = {}
    for noisy, clean, whole in pairs():
        def scored(made: Tensor, clean: Tensor = clean) -> float:
            return psnr(eight_bits(made), eight_bits(clean))

        contrast = zoo.row(BASE).contrast_for(10)
        at_levels = {level: scored(ffdnet(noisy, level)) for level in LEVELS}
        for name, score in {
                'as it is': scored(noisy), 'FFDNet, told 10': at_levels[10.0],
                'FFDNet, told what suits each picture best': max(at_levels.values()),
                'FFDNet, told `level: auto`': scored(ffdnet(noisy, estimate_camera_noise(whole))),
                'FFDNet, told what `denoise --sigma auto` finds': scored(ffdnet(noisy, estimate_noise_level(whole))),
                f'`{BASE}`, at the contrast for 10': scored(
                    with_contrast(base(with_contrast(noisy, contrast)), 1 / contrast))}.items():
            found.setdefault(name, []).append(score)
    print('| restorer | PSNR |\n|---|---|')
    for name, scores in found.items():
        print(f'| {name} | {np.mean(scores):.2f} |')


if __name__ == '__main__':
    main()
