"""Denoise a photograph in Python and count what it cost: ``python examples/denoise.py photo.png clean.png``."""
from __future__ import annotations

import sys

import basicsr_snn

# isort: split
import torch

from basicsr_snn.energy import OperationCounter
from basicsr_snn.images.files import read_picture, write_picture


def main(source: str, target: str) -> None:
    net = basicsr_snn.load('spikerir_small_colorblind')    # any noise level; all names: basicsr-snn list
    picture = torch.from_numpy(read_picture(source).pixels).permute(2, 0, 1)[None]    # (1, 3, H, W), 0..1
    with torch.inference_mode(), OperationCounter(net) as counter:
        restored = net(picture).clamp(0, 1)
    write_picture(target, restored[0].mul(255).round().byte().permute(1, 2, 0).numpy())
    report = counter.report()
    print(f'{target}: {report.acs_per_px:,.0f} accumulations and {report.energy_nj_px():.1f} nJ a pixel')


if __name__ == '__main__':
    main(*sys.argv[1:])
