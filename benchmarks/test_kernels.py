"""Neuron kernels under pytest-benchmark: ``pytest benchmarks/test_kernels.py``."""
from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip('pytest_benchmark')

import basicsr_snn  # noqa: F401 - before spikingjelly

# isort: split
from speed import NEURON_SHAPE, neuron_step

from basicsr_snn.spiking.neurons import NEURONS, build_neuron

FUSED = ('SignedILIF', 'LIFNode', 'IFNode')


@pytest.mark.parametrize('backward', [False, True], ids=['forward', 'both'])
@pytest.mark.parametrize('spec', [*({'type': name} for name in NEURONS),
                                  *({'type': name, 'compile': True} for name in FUSED)],
                         ids=lambda spec: '-'.join(map(str, spec.values())))
def test_neuron(benchmark: Any, spec: dict[str, Any], backward: bool) -> None:
    task = neuron_step(build_neuron(spec, NEURON_SHAPE[2]), backward)
    task()
    benchmark(task)
