"""Put a network on an engine."""
from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch

from basicsr_snn.engines.graph_file import graph_of
from basicsr_snn.engines.names import ENGINES, EXTRA
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import Restorer, as_restorer
from basicsr_snn.inference.given_pictures import refuse_what_is_no_picture
from basicsr_snn.spiking.int8 import has_int8_form
from basicsr_snn.zoo.building import build
from basicsr_snn.zoo.trained_network import TrainedNetwork, named_network


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


def place(trained: TrainedNetwork, engine: str = 'auto', gpu: bool = False) -> Placed:
    """Build a network for an engine.

    ``auto`` is OpenVINO for networks whose 8-bit form ships, where it is installed and no GPU would run it; else torch.
    On OpenVINO and ONNX Runtime a network runs in its 8-bit form if it has one; a file that does not ship is written
    at the first use, which takes up to a minute, and kept.

    Args:
        trained: A network with its weights.
        engine: A name of :data:`basicsr_snn.engines.names.ENGINES`.
        gpu: Whether torch would run it on a GPU.

    Raises:
        UserError: An engine that is not known or not installed, or a network that it does not run.
    """
    if engine not in ENGINES:
        raise UserError(f'engine {engine!r} is not known; write one of {", ".join(ENGINES)}.')
    if engine == 'auto':
        fast = trained.int8_file is not None and is_installed('openvino') and not gpu
        engine = 'openvino' if fast else 'torch'
    if engine == 'torch':
        return Placed(trained.deployed(), engine)
    if not is_installed(engine):
        raise UserError(f'--engine {engine} needs the package {engine}, which is not installed; type: {EXTRA}, or '
                        'leave --engine out.')
    int8 = trained.int8_file is not None or _reads_counts(trained)
    return Placed(_graph_restorer(graph_of(trained, int8), engine), engine, int8)


def load(name: str | Path, engine: str = 'torch') -> Restorer:
    """Load a network, ready for inference; threads may share it.

    Args:
        name: A name of ``basicsr-snn list``, or the path of a weight file that says which network it is of, as those
            of trainings do.
        engine: ``torch``, ``openvino``, ``onnxruntime`` or ``auto``, see :func:`place`. Only ``torch`` gives
            gradients, features and a network on a GPU, where ``torch.backends.cudnn.allow_tf32 = False`` gives the
            pictures of the commands: by default torch drops digits there, which tips counts of spikes over.

    Returns:
        The network in eval mode, folded, without gradients: float (N, C, H, W) in 0..1 to the same, any H, W >= 1. It
        refuses what is no such picture, for example values of 0..255 or NaN, by a ``UserError``.

    Raises:
        UserError: Unknown name, a shipped weight file that was changed since, a weight file that does not say which
            network it is of, an engine that is not known or not installed.
    """
    return refuse_what_is_no_picture(place(named_network(name), engine, gpu=torch.cuda.is_available()).net)


def _reads_counts(trained: TrainedNetwork) -> bool:
    """Whether a network has an 8-bit form; one that is told a noise level is refused, as graphs take none."""
    net = build(trained.network)
    if as_restorer(net).takes_sigma:
        raise UserError(f'{trained.arch} is told the noise level, which only --engine torch does; leave --engine out.')
    return has_int8_form(net)


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _graph_restorer(file: Path, engine: str) -> Restorer:
    if engine == 'openvino':
        from basicsr_snn.engines.openvino_graph import OpenVINOGraph
        return OpenVINOGraph(file)
    from basicsr_snn.engines.onnxruntime_graph import ONNXRuntimeGraph
    return ONNXRuntimeGraph(file)
