"""One candidate through all pictures: scores, counted operations, speed and memory."""
from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from basicsr_snn import finite
from basicsr_snn.bench.candidates import Candidate, Restorer
from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.bench.row import Row, cost_columns, cost_details
from basicsr_snn.energy import OperationCounter
from basicsr_snn.errors import UserError
from basicsr_snn.images.enlarging import at_size_of, factor_between
from basicsr_snn.images.scoring import eight_bits, quality

INPUT = 'input'
"""What the row of the degraded pictures is called."""

TIMED_RUNS = 3
SLOW = 10.0
"""Seconds from which a single run is enough."""


@torch.inference_mode()
def measure(candidate: Candidate, pictures: EvaluationSet, on_picture: Callable[[], None] = lambda: None) -> Row:
    """Measure one candidate.

    Scores are BasicSR's, of 8-bit pictures (:func:`basicsr_snn.images.scoring.quality`), and none for an untrained
    network. Operations are counted on all pictures, for each pixel that the network reads. Speed is the median of
    :data:`TIMED_RUNS` runs on the first picture, memory that of one more run.

    Args:
        candidate: What to measure.
        pictures: What it restores.
        on_picture: Called after each picture.

    Raises:
        UserError: It cannot be built, or answers with other sizes.
        NotFiniteError: It answers with NaN or infinity.
    """
    restorer = candidate.build()
    counter = None if restorer.net is None else OperationCounter(restorer.net.network)
    scores = []
    for given, clean, sigma in pictures:
        with counter or nullcontext():
            restored = restorer(given, sigma)
        check_answer(restored, clean)
        if candidate.trained:
            scores.append(_quality(restored, given, clean))
        on_picture()
    given, _, sigma = next(islice(pictures, 1))
    if counter is None:
        return Row(candidate.name, candidate.arch, spiking=restorer.spiking, **_means(scores),
                   s_per_mpx=seconds_per_megapixel(restorer, given, sigma))
    report = counter.report()
    return Row(candidate.name, candidate.arch, **_means(scores), **cost_columns(report),
               s_per_mpx=seconds_per_megapixel(restorer, given, sigma),
               peak_mb=peak_megabytes(restorer, given, sigma), details=cost_details(report))


def measure_input(pictures: EvaluationSet) -> Row:
    """The row of the degraded pictures themselves, which cost nothing; smaller ones are enlarged by interpolation."""
    scores = [_quality(at_size_of(given, clean), given, clean) for given, clean, _ in pictures]
    return Row(INPUT, INPUT, **_means(scores))


def _quality(answer: Tensor, given: Tensor, clean: Tensor) -> tuple[float, float]:
    return quality(eight_bits(answer), eight_bits(clean), factor_between(given, clean))


def check_answer(restored: Tensor, clean: Tensor, who: str = 'it') -> None:
    """Refuse an answer that cannot be scored; ``who`` is the sentence's subject.

    Raises:
        UserError: It has another size than the clean picture.
        NotFiniteError: It holds NaN or infinity.
    """
    if restored.shape != clean.shape:
        raise UserError(f'{who} answers {"x".join(map(str, restored.shape[1:]))} where the clean picture is '
                        f'{"x".join(map(str, clean.shape[1:]))}; take pictures of its channels and scale.')
    finite.check_answer(restored, who=who)


def _means(scores: Sequence[tuple[float, float]]) -> dict[str, Any]:
    if not scores:
        return {}
    mean_psnr, mean_ssim = (statistics.fmean(values) for values in zip(*scores, strict=True))
    return {'psnr': mean_psnr, 'ssim': None if math.isnan(mean_ssim) else mean_ssim}


def seconds_per_megapixel(restorer: Restorer, given: Tensor, sigma: Tensor | None) -> float:
    """Seconds for 10^6 pixels of ``given`` (1, C, H, W): median of :data:`TIMED_RUNS` runs, one if that is slow."""

    def seconds() -> float:
        start = time.perf_counter()
        restorer(given, sigma)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - start

    runs = [seconds()]
    while len(runs) < TIMED_RUNS and runs[0] < SLOW:
        runs.append(seconds())
    return statistics.median(runs) / (given.shape[-1] * given.shape[-2]) * 1e6


def peak_megabytes(restorer: Restorer, given: Tensor, sigma: Tensor | None) -> float:
    """Largest sum of tensors that one run allocates and holds at once, in 10^6 bytes.

    What torch's allocator hands out, on the CPU by its profiler, on a GPU by its own statistics: the figure does not
    depend on what ran before. Parameters and the input are there before; scratch memory inside oneDNN is not seen.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        restorer(given, sigma)
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    return peak_allocation_mb(lambda: restorer(given, sigma))


def peak_allocation_mb(task: Callable[[], object]) -> float:
    """Largest sum of CPU tensors that ``task`` allocates and holds at once, in 10^6 bytes, by torch's profiler."""
    with _quiet_stderr(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        task()
    held = peak = 0
    for event in sorted(profiler.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == '[memory]':
            held += event.nbytes()
            peak = max(peak, held)
    return peak / 1e6


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Some builds of torch's profiler write notes straight to the file behind stderr."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
