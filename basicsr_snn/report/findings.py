"""What a report is made from: one network through all pictures, scored, counted and watched."""
from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from basicsr.utils import tensor2img
from torch import Tensor

from basicsr_snn import zoo
from basicsr_snn.activity import ActivityWatch, LayerActivity
from basicsr_snn.bench.contenders import NetworkContender
from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.energy import EnergyReport, OperationCounter
from basicsr_snn.errors import UserError
from basicsr_snn.scoring import Score, score

EXAMPLES = 3
CROP = 192
"""Side in pixels of the crops that are shown, from the centre of a picture."""


@dataclass(frozen=True)
class PictureScore:
    """Quality of one picture.

    Attributes:
        dataset: Name of its dataset.
        name: Its file name without extension.
        sigma: Noise level on the 0..255 scale, None where it is not known.
        score: PSNR and SSIM of the degraded and of the restored picture.
    """

    dataset: str
    name: str
    sigma: float | None
    score: Score


@dataclass(frozen=True)
class Example:
    """Crops of one picture, each (h, w, C) uint8, RGB or grey, h and w at most :data:`CROP`."""

    scored: PictureScore
    degraded: np.ndarray
    restored: np.ndarray
    clean: np.ndarray


@dataclass(frozen=True)
class Findings:
    """What a report says of one network.

    Attributes:
        name: What it is called.
        network: Its ``network_g`` block.
        weights: Name of its weight file.
        sha256: Checksum of that file, 64 hexadecimal digits.
        pictures: What it was run on, in words.
        scores: Quality of each picture.
        cost: Operations counted on all pictures.
        activity: What its neuron layers did on all pictures; empty for an ANN.
        examples: A few pictures.
    """

    name: str
    network: Mapping[str, Any]
    weights: str
    sha256: str
    pictures: str
    scores: tuple[PictureScore, ...]
    cost: EnergyReport
    activity: tuple[LayerActivity, ...]
    examples: tuple[Example, ...]

    def mean(self, measure: str, dataset: str | None = None) -> float:
        """Mean over pictures (of one dataset) of ``psnr``, ``ssim``, ``noisy_psnr`` or ``noisy_ssim``."""
        return statistics.fmean(getattr(one.score, measure) for one in self.scores
                                if dataset is None or one.dataset == dataset)


@torch.inference_mode()
def examine(contender: NetworkContender, pictures: EvaluationSet,
            on_picture: Callable[[], None] = lambda: None) -> Findings:
    """Run a network on all pictures.

    Args:
        contender: The network; runs folded, as it ships.
        pictures: What it restores.
        on_picture: Called after each picture.

    Raises:
        UserError: It cannot be built, answers with other sizes or with NaN, or a dataset has no clean pictures.
    """
    restorer = contender.build()
    counter, watch = OperationCounter(restorer.net), ActivityWatch(restorer.net)
    scores, examples = [], []
    shown = set(np.linspace(0, len(pictures) - 1, min(EXAMPLES, len(pictures))).round().astype(int))
    for index, (dataset, name, given, clean, sigma) in enumerate(_named(pictures)):
        with counter, watch:
            restored = restorer(given, sigma)
        eight = _eight_bits(given), _eight_bits(_checked(restored, clean)), _eight_bits(clean)
        noisy, answer, target = eight
        scores.append(PictureScore(dataset, name, None if sigma is None else float(sigma),
                                   score(target, noisy, answer)))
        if index in shown:
            examples.append(Example(scores[-1], *map(_centre, eight)))
        on_picture()
    return Findings(contender.name, contender.network, Path(contender.weights).name, zoo.sha256_of(contender.weights),
                    pictures.describe(), tuple(scores), counter.report(), watch.layers(), tuple(examples))


def _named(pictures: EvaluationSet) -> Iterator[tuple[str, str, Tensor, Tensor, Tensor | None]]:
    """Dataset, picture name, degraded and clean picture (1, C, H, W), noise level (1,) of each picture."""
    for dataset_name, dataset, count in zip(pictures.names, pictures.datasets, pictures.counts, strict=True):
        for index in range(count):
            item = dataset[index]
            if 'gt' not in item:
                raise UserError(f'{dataset_name} has no clean pictures to compare with; take a dataset with '
                                'dataroot_gt.')
            sigma = item.get('sigma')
            yield (dataset_name, Path(item['lq_path']).stem, item['lq'][None], item['gt'][None],
                   None if sigma is None else sigma.reshape(1))


def _checked(restored: Tensor, clean: Tensor) -> Tensor:
    if restored.shape != clean.shape:
        raise UserError(f'the network answers {"x".join(map(str, restored.shape[1:]))} where the clean picture is '
                        f'{"x".join(map(str, clean.shape[1:]))}; take pictures of its channels and scale.')
    if not torch.isfinite(restored).all():
        raise UserError('the network answers with NaN or infinity; check its weights.')
    return restored


def _eight_bits(picture: Tensor) -> np.ndarray:
    """(1, C, H, W) in 0..1 to (H, W, C) uint8, as BasicSR's metrics get it."""
    pixels = tensor2img(picture, rgb2bgr=False)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _centre(pixels: np.ndarray) -> np.ndarray:
    top, left = (max(0, side - CROP) // 2 for side in pixels.shape[:2])
    return pixels[top:top + CROP, left:left + CROP].copy()
