"""Networks trained on one noise met with others: ``studies/distillation/noise_immunity.py -n NAME [NAME ...]``.

KDSNN (arXiv 2304.05627) claims that distilled spiking networks withstand noise that they were not trained on. Scores
are PSNR of the first pictures of CBSD68 under seeded noise of several kinds, and of the real pairs of PolyU. Those of
experiments that differ in their seed are the mean, and the standard deviation of the mean of each.
"""
from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import cv2
import numpy as np
import torch
from regime import network
from rich.console import Console
from rich.progress import track
from runs import EXPERIMENTS
from skimage.util import random_noise
from torch import nn

from basicsr_snn import load, zoo
from basicsr_snn.images.files import read_picture
from basicsr_snn.images.listing import list_pictures
from basicsr_snn.images.scoring import eight_bits, psnr
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.weight_files.card import CAMERA
from basicsr_snn.zoo.trained_network import TrainedNetwork

CLEAN, REAL = Path('datasets/CBSD68'), Path('datasets/PolyU')
Degradation = Callable[[np.ndarray], np.ndarray]


def gaussian(sigma: float) -> Degradation:
    return lambda clean: random_noise(clean, 'gaussian', rng=0, clip=False, var=(sigma / 255) ** 2)


def jpeg(quality: int) -> Degradation:
    def degrade(clean: np.ndarray) -> np.ndarray:
        stored = np.rint(clean[..., ::-1] * 255).astype(np.uint8)
        _, coded = cv2.imencode('.jpg', stored, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1] / 255

    return degrade


DEGRADATIONS: dict[str, Degradation] = {
    'Gaussian, sigma 15': gaussian(15),
    'Gaussian, sigma 25': gaussian(25),
    'Gaussian, sigma 35': gaussian(35),
    'Poisson, peak 255': lambda clean: random_noise(clean, 'poisson', rng=0, clip=False),
    'speckle, variance 0.04': lambda clean: random_noise(clean, 'speckle', rng=0, clip=False, var=0.04),
    'salt and pepper, 2 %': lambda clean: random_noise(clean, 's&p', rng=0, amount=0.02),
    'JPEG, quality 20': jpeg(20),
}


def synthetic_pairs(degrade: Degradation, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for file in list_pictures(CLEAN)[:count]:
        clean = read_picture(file).pixels
        yield degrade(clean.astype(np.float64)).astype(np.float32), clean


def real_pairs(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for noisy in sorted(REAL.glob('*_real.*'))[:count]:
        clean = noisy.with_name(noisy.name.replace('_real.', '_mean.'))
        yield read_picture(noisy).pixels, read_picture(clean).pixels


def batch(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


@torch.inference_mode()
def mean_psnr(net: nn.Module | None, pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> float:
    """Mean PSNR of a network, or of the degraded pictures themselves."""
    scores = []
    for noisy, clean in pairs:
        restored = batch(noisy) if net is None else net(batch(noisy))
        scores.append(psnr(eight_bits(restored), eight_bits(batch(clean))))
    return float(np.mean(scores))


def networks(args: argparse.Namespace) -> dict[str, list[nn.Module | None]]:
    """Networks by column: one, or one for each seed."""
    found: dict[str, list[nn.Module | None]] = {'degraded': [None], **{name: [load(name)] for name in args.name}}
    for options, weights in args.trained:
        block = read_options(options)['network_g']
        found[Path(options).stem] = [TrainedNetwork(options, block, Path(weights), 'params_ema').build().net]
    for name, pattern in args.seeds:
        folders = sorted(folder for folder in EXPERIMENTS.glob(pattern) if folder.is_dir())
        if not folders:
            sys.exit(f'--seeds {name}={pattern}: no folder in {EXPERIMENTS} has such a name; regime.py trains them.')
        found[name] = [network(read_options(folder / f'{folder.name}.yml'), folder, 'latest').build().net
                       for folder in folders]
    return found


def refuse_those_of_cameras(names: list[str]) -> None:
    """The pairs of PolyU are what they were trained on."""
    of_cameras = [name for name in names if zoo.row(name).noise == CAMERA]
    if of_cameras:
        sys.exit(f'{of_cameras[0]} was trained on pairs of PolyU; tools/real_noise.py scores it on others.')


def two_sides(given: str) -> tuple[str, str]:
    """What stands left and right of the equals sign."""
    left, _, right = given.partition('=')
    if not left or not right:
        raise argparse.ArgumentTypeError(f'{given!r} has nothing on one side of an equals sign')
    return left, right


def in_words(scores: list[float]) -> str:
    spread = f' ({statistics.stdev(scores):.2f})' if len(scores) > 1 else ''
    return f'{statistics.fmean(scores):.2f}{spread}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-n', '--name', nargs='+', default=[], help='shipped networks')
    parser.add_argument('--trained', nargs='+', default=[], type=two_sides,
                        metavar='X.yml=W.pth', help='trained networks')
    parser.add_argument('--seeds', nargs='+', default=[], type=two_sides, metavar='COLUMN=PATTERN',
                        help='experiments that differ in their seed, such as control=regime_control_if_*_seed?')
    parser.add_argument('--pictures', type=int, default=16, help='of each set (default: %(default)s)')
    parser.add_argument('--markdown', type=Path, default=Path(__file__).with_name('noise_immunity.md'))
    args = parser.parse_args()
    refuse_those_of_cameras(args.name)
    columns = networks(args)
    lines = [['PSNR, dB', *columns], ['---'] * (1 + len(columns))]
    kinds = {**{name: (lambda degrade=degrade: synthetic_pairs(degrade, args.pictures))
                for name, degrade in DEGRADATIONS.items()}, 'PolyU, real': lambda: real_pairs(args.pictures)}
    for kind, pairs in track(kinds.items(), console=Console(stderr=True)):
        lines.append([kind, *(in_words([mean_psnr(net, pairs()) for net in nets]) for nets in columns.values())])
    text = '\n'.join(f'| {" | ".join(line)} |' for line in lines) + '\n'
    args.markdown.write_text(text, encoding='utf-8')
    print(text)


if __name__ == '__main__':
    main()
