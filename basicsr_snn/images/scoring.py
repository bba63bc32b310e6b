"""How near a restored picture comes to the clean one, by BasicSR's measures, band by band."""
from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from basicsr.metrics import calculate_psnr, calculate_ssim
from basicsr.utils import tensor2img

SSIM_WINDOW = 11
_BAND_PIXELS = 400_000


@dataclass(frozen=True)
class Score:
    """PSNR in dB and SSIM of the noisy and of the restored picture against the clean one.

    By the test protocol: clipped to 0..1, rounded to 8 bits, no border cut off; for super-resolution :func:`quality`.
    SSIM is NaN where a side is shorter than its window of 11 pixels.
    """

    noisy_psnr: float
    psnr: float
    noisy_ssim: float
    ssim: float


def eight_bits(picture: torch.Tensor) -> np.ndarray:
    """(1, C, H, W) in 0..1 to (H, W, C) uint8, RGB or grey, as BasicSR's metrics get it."""
    pixels = tensor2img(picture, rgb2bgr=False)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def score(clean: np.ndarray, noisy: np.ndarray, restored: np.ndarray, scale: int = 1) -> Score:
    """Score a restored picture; all are (H, W, C) uint8, RGB or grey.

    Args:
        clean: What is right.
        noisy: What was given, of the same size.
        restored: The answer.
        scale: By how much the answer is larger than what the network read.
    """
    before, after = quality(noisy, clean, scale), quality(restored, clean, scale)
    return Score(before[0], after[0], before[1], after[1])


def quality(pixels: np.ndarray, clean: np.ndarray, scale: int = 1) -> tuple[float, float]:
    """PSNR in dB and SSIM of pictures (H, W, C) uint8, RGB or grey, by the protocol of restoration, or, where they
    were enlarged by ``scale``, by that of super-resolution: of the luminance, without ``scale`` pixels at each side."""
    if scale == 1:
        return psnr(pixels, clean), ssim(pixels, clean)
    inner = slice(scale, -scale) if min(clean.shape[:2]) > 2 * scale else slice(None)
    cut = [np.ascontiguousarray(one[inner, inner, ::-1]) for one in (pixels, clean)]  # BGR, as BasicSR has it
    how = {'crop_border': 0, 'test_y_channel': True}
    of_windows = calculate_ssim(*cut, **how) if min(cut[1].shape[:2]) >= SSIM_WINDOW else math.nan
    return float(calculate_psnr(*cut, **how)), float(of_windows)


def psnr(pixels: np.ndarray, clean: np.ndarray) -> float:
    """PSNR in dB of pictures (H, W, C) uint8, infinite for equal ones: ``calculate_psnr`` in a tenth of its memory."""
    squared = sum(int(np.square(pixels[rows].astype(np.int32) - clean[rows]).sum(dtype=np.int64))
                  for rows in _bands(clean))
    return 10 * math.log10(255**2 * clean.size / squared) if squared else math.inf


def ssim(pixels: np.ndarray, clean: np.ndarray) -> float:
    """Mean SSIM of pictures (H, W, C) uint8, NaN where a side is shorter than the window.

    BasicSR's ``calculate_ssim`` on overlapping bands, one for each thread at a time: the mean over all windows is that
    of the bands, weighted by the rows of windows in each.
    """
    if min(clean.shape[:2]) < SSIM_WINDOW:
        return math.nan
    bands = list(_bands(clean, SSIM_WINDOW - 1))

    def weighted(rows: slice) -> float:
        windows = rows.stop - rows.start - (SSIM_WINDOW - 1)
        return windows * float(calculate_ssim(pixels[rows], clean[rows], crop_border=0))

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        return math.fsum(threads.map(weighted, bands)) / (len(clean) - (SSIM_WINDOW - 1))


def _bands(picture: np.ndarray, overlap: int = 0) -> Iterator[slice]:
    """Rows of a picture in bands of bounded size; each repeats the last ``overlap`` rows of the one before."""
    height, width = picture.shape[:2]
    step = max(1, _BAND_PIXELS // width)
    for start in range(0, height - overlap, step):
        yield slice(start, min(start + step + overlap, height))
