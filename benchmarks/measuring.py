"""What the benchmarks share: alternating timing, memory of a process, the line that names the machine."""
from __future__ import annotations

import platform
import re
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from rich.progress import track


def median_times(tasks: dict[str, Callable[[], None]], rounds: int,
                 clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Median seconds of each task by ``clock``; the tasks take turns, after one warm-up round.

    ``time.process_time`` counts the CPU time of all threads instead of the wall's, for a machine that others use too.
    """
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for current in track(range(rounds + 1), description=' / '.join(tasks), transient=True):
        for name, task in tasks.items():
            start = clock()
            task()
            if current:
                times[name].append(clock() - start)
    return {name: statistics.median(measured) for name, measured in times.items()}


def resident_mb(peak: bool = False) -> float:
    """Memory of this process in RAM in megabytes (10**6 bytes), now or at most since :func:`forget_peak`; Linux."""
    status = Path('/proc/self/status').read_text(encoding='ascii')
    kibibytes = re.search(rf'{"VmHWM" if peak else "VmRSS"}:\s*(\d+) kB', status)
    return int(kibibytes[1]) * 1024 / 1e6


def forget_peak() -> None:
    """Start measuring the peak of this process's memory anew; Linux."""
    Path('/proc/self/clear_refs').write_text('5', encoding='ascii')


def machine() -> str:
    """Threads, processor and versions, for the last line of a table."""
    return (f'{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}, spikingjelly '
            f'{version("spikingjelly")}')
