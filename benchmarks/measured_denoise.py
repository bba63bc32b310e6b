"""``basicsr-snn denoise``, with its memory and time written to a file.

``measured_denoise.py F.json -n NAME --engine E ...``

Loaded is the memory after the imports and the network, before any picture; peak is the most from there to the end.
"""
from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import basicsr_snn

# isort: split
from measuring import forget_peak, resident_mb

from basicsr_snn.cli.main import main as command
from basicsr_snn.images import scoring  # noqa: F401
from basicsr_snn.inference import denoising  # noqa: F401  (the command imports them late; they count as loaded)


def main() -> int:
    report, *arguments = sys.argv[1:]
    net = basicsr_snn.load(*(arguments[arguments.index(key) + 1] for key in ('-n', '--engine')))
    loaded = resident_mb()
    del net
    forget_peak()
    start, cpu_start = time.perf_counter(), time.process_time()
    status = command(['denoise', *arguments])
    measured = {'loaded_mb': loaded, 'peak_mb': resident_mb(peak=True), 'seconds': time.perf_counter() - start,
                'cpu_seconds': time.process_time() - cpu_start}
    Path(report).write_text(json.dumps(measured), encoding='utf-8')
    return status


if __name__ == '__main__':
    sys.exit(main())
