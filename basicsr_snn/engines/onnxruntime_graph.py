"""ONNX Runtime on the CPU."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from basicsr_snn.engines.graph_restorer import GraphRestorer


class ONNXRuntimeGraph(GraphRestorer):
    """As many threads as torch has; any size at once, without another compilation."""

    compiles_sizes = False

    def _open(self, file: Path) -> Mapping[str, str]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(file, options, providers=['CPUExecutionProvider'])
        return self._session.get_modelmeta().custom_metadata_map

    def _run(self, pictures: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._session.get_inputs()[0].name: pictures})[0]
