"""How near bicubic and bilinear interpolation come to sharp pictures, which a student adds its residual to.

``python studies/super_resolution/bases.py datasets/CBSD68 datasets/Kodak24`` prints the PSNR in dB of the luminance
without a border, by the protocol of ``options/test/SpikerIR/sr2.yml``, and what either costs.
"""
from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import torch
from basicsr.data import build_dataset
from torch import Tensor
from torch.nn import functional as F

from basicsr_snn.energy.presets import preset_of
from basicsr_snn.images.enlarging import BicubicEnlargement
from basicsr_snn.images.scoring import eight_bits, quality

TAPS = {'bicubic': 5, 'bilinear': 3}
"""Pixels of a side that a new one is made of, over all of its places."""


def bilinear(picture: Tensor, scale: int) -> Tensor:
    return F.interpolate(picture, scale_factor=scale, mode='bilinear', align_corners=False)


def nj_px(kind: str, scale: int) -> float:
    """Energy of a colour picture for each pixel that is read, along the rows and then along the columns."""
    return 3 * TAPS[kind] * scale * (1 + scale) * preset_of('45nm-fp32').mac_pj / 1000


@torch.inference_mode()
def scores(folder: Path, scale: int) -> dict[str, float]:
    pictures = build_dataset({'name': folder.name, 'type': 'SuperResolutionDataset', 'phase': 'val', 'scale': scale,
                              'dataroot_gt': str(folder)})
    bicubic, found = BicubicEnlargement(scale), {kind: [] for kind in TAPS}
    for index in range(len(pictures)):
        given, clean = (pictures[index][key][None] for key in ('lq', 'gt'))
        for kind, larger in (('bicubic', bicubic(given)), ('bilinear', bilinear(given, scale))):
            found[kind].append(quality(eight_bits(larger), eight_bits(clean), scale)[0])
    return {kind: statistics.fmean(values) for kind, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folders', nargs='+', type=Path, help='folders of sharp pictures')
    parser.add_argument('--scales', nargs='+', type=int, default=[2, 4])
    args = parser.parse_args()
    print('| set | scale | bicubic | bilinear | nJ/px of either |\n|---|---|---|---|---|')
    for folder in args.folders:
        for scale in args.scales:
            of = scores(folder, scale)
            print(f'| {folder.name} | {scale} | {of["bicubic"]:.2f} | {of["bilinear"]:.2f} | '
                  f'{nj_px("bicubic", scale):.2f}, {nj_px("bilinear", scale):.2f} |')


if __name__ == '__main__':
    main()
