"""Networks on engines for inference: torch, OpenVINO, ONNX Runtime. Spiking ones run there with 8-bit arithmetic."""
from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from basicsr_snn.engines.graph_file import graph_of
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.spiking.int8 import has_int8_form
from basicsr_snn.zoo.building import build
from basicsr_snn.zoo.trained_network import TrainedNetwork

Engine = Literal['auto', 'torch', 'openvino', 'onnxruntime']
ENGINES: tuple[Engine, ...] = ('auto', 'torch', 'openvino', 'onnxruntime')
EXTRA = 'pip install "basicsr_snn[fast]"'


@dataclass(frozen=True)
class Placed:
    """A network on an engine.

    Attributes:
        net: Ready for inference.
        engine: Where it runs: ``torch``, ``openvino`` or ``onnxruntime``.
        int8: Whether it reads spikes by 8-bit arithmetic.
    """

    net: Restorer
    engine: str
    int8: bool = False

    def describe(self) -> str:
        """The engine in words, as commands print it."""
        return {'torch': 'torch', 'openvino': 'OpenVINO', 'onnxruntime': 'ONNX Runtime'}[self.engine] + (
            ', int8' if self.int8 else '')


def place(trained: TrainedNetwork, engine: str = 'auto') -> Placed:
    """Build a network for an engine.

    ``auto`` is torch where there is a GPU, where OpenVINO is not installed and for networks that have no 8-bit form or
    are told a noise level; else OpenVINO. The 8-bit form is taken wherever there is one.

    Args:
        trained: A network with its weights.
        engine: A name of :data:`ENGINES`.

    Raises:
        UserError: An engine that is not known or not installed, or a network that it does not run.
    """
    if engine not in ENGINES:
        raise UserError(f'engine {engine!r} is not known; write one of {", ".join(ENGINES)}.')
    int8 = engine != 'torch' and has_int8_form(build(trained.network))
    if engine == 'auto':
        fast = int8 and is_installed('openvino') and not torch.cuda.is_available()
        engine = 'openvino' if fast else 'torch'
    if engine == 'torch':
        return Placed(trained.deployed(), engine)
    if not is_installed(engine):
        raise UserError(f'--engine {engine} needs the package {engine}, which is not installed; type: {EXTRA}, or '
                        'leave --engine out.')
    return Placed(_graph_restorer(graph_of(trained, int8), engine), engine, int8)


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _graph_restorer(file: Path, engine: str) -> Restorer:
    if engine == 'openvino':
        from basicsr_snn.engines.openvino_graph import OpenVINOGraph
        return OpenVINOGraph(file)
    from basicsr_snn.engines.onnxruntime_graph import ONNXRuntimeGraph
    return ONNXRuntimeGraph(file)
