"""Train a student from Python and use it: ``python examples/train.py``, from the repository's root, in two minutes.

The options are those of the demo, with another name and length: whatever an option file says can be replaced so.
"""
from __future__ import annotations

import sys
from pathlib import Path

import basicsr_snn  # noqa: F401 - registers networks, models, data and losses with BasicSR

# isort: split
import torch

from basicsr_snn.images.files import read_picture, to_tensor
from basicsr_snn.images.listing import list_pictures
from basicsr_snn.images.noise import add_gaussian_noise
from basicsr_snn.images.scoring import eight_bits, psnr
from basicsr_snn.inference.calling import deployed
from basicsr_snn.pipeline.option_files import network_of_option_file
from basicsr_snn.pipeline.run import run_training

OPTIONS, NAME = 'options/train/demo.yml', 'example'


def main(steps: int = 500) -> None:
    run_training(['-opt', OPTIONS, '--force_yml', f'name={NAME}', f'train:total_iter={steps}',
                  f'train:scheduler:periods=[{steps}]', f'val:val_freq={steps}'])
    weights = Path('experiments', NAME, 'models', 'net_g_latest.pth')
    net = deployed(network_of_option_file(OPTIONS).with_weights(weights).loaded())    # folded, in eval mode
    for file in list_pictures('datasets/demo/val'):
        pixels = read_picture(file).pixels
        noisy, clean = to_tensor(add_gaussian_noise(pixels, 25))[None], to_tensor(pixels)[None]
        with torch.inference_mode():
            restored = net(noisy)
        print(f'{file.name}: {psnr(eight_bits(noisy), eight_bits(clean)):.2f} dB before, '
              f'{psnr(eight_bits(restored), eight_bits(clean)):.2f} dB after')


if __name__ == '__main__':
    main(*map(int, sys.argv[1:]))
