"""What a report is made from: one network through all pictures, scored, counted and watched."""
from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from basicsr_snn import zoo
from basicsr_snn.activity import ActivityWatch, LayerActivity
from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.bench.measuring import check_answer
from basicsr_snn.energy import EnergyReport, OperationCounter
from basicsr_snn.errors import UserError
from basicsr_snn.images.enlarging import at_size_of, factor_between
from basicsr_snn.images.scoring import Score, eight_bits, score
from basicsr_snn.zoo.trained_network import TrainedNetwork

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
        score: PSNR and SSIM of the degraded (where the network enlarges, bicubically enlarged) and of the restored
            picture.
    """

    dataset: str
    name: str
    sigma: float | None
    score: Score


@dataclass(frozen=True)
class Example:
    """Crops of one picture, each (h, w, C) uint8, RGB or grey, h and w at most :data:`CROP`; what was given is enlarged
    by bicubic interpolation where the network enlarges."""

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
        scale: By how much the network enlarges pictures.
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
    scale: int = 1

    def mean(self, measure: str, dataset: str | None = None) -> float:
        """Mean over pictures (of one dataset) of ``psnr``, ``ssim``, ``noisy_psnr`` or ``noisy_ssim``."""
        return statistics.fmean(getattr(one.score, measure) for one in self.scores
                                if dataset is None or one.dataset == dataset)


@torch.inference_mode()
def examine(trained: TrainedNetwork, pictures: EvaluationSet,
            on_picture: Callable[[], None] = lambda: None) -> Findings:
    """Run a network on all pictures.

    Args:
        trained: The network; runs folded, as it ships.
        pictures: What it restores.
        on_picture: Called after each picture.

    Raises:
        UserError: It cannot be built, answers with other sizes, or a dataset has no clean pictures.
        NotFiniteError: It answers with NaN or infinity.
    """
    restorer = trained.build()
    counter, watch = OperationCounter(restorer.net.network), ActivityWatch(restorer.net.network)
    channels = restorer.net.in_ch
    scores, examples, scale = [], [], 1
    shown = set(np.linspace(0, len(pictures) - 1, min(EXAMPLES, len(pictures))).round().astype(int))
    for index, (dataset, name, given, clean, sigma) in enumerate(pictures.named()):
        if given.shape[1] != channels:
            raise UserError(f'{trained.name} reads pictures of {channels} channels, but {name} was given with '
                            f'{given.shape[1]}; write in_ch: {channels} for its dataset, or take another network.')
        with counter, watch:
            restored = restorer(given, sigma)
        check_answer(restored, clean, 'the network')
        eight = eight_bits(at_size_of(given, clean)), eight_bits(restored), eight_bits(clean)
        noisy, answer, target = eight
        scale = factor_between(given, clean)
        scores.append(PictureScore(dataset, name, None if sigma is None else float(sigma),
                                   score(target, noisy, answer, scale)))
        if index in shown:
            examples.append(Example(scores[-1], *map(_centre, eight)))
        on_picture()
    file = trained.weight_file()
    return Findings(trained.name, trained.network, file.name, zoo.sha256_of(file), pictures.describe(),
                    tuple(scores), counter.report(), watch.layers(), tuple(examples), scale)


def _centre(pixels: np.ndarray) -> np.ndarray:
    top, left = (max(0, side - CROP) // 2 for side in pixels.shape[:2])
    return pixels[top:top + CROP, left:left + CROP].copy()
