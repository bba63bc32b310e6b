"""OpenVINO on the CPU: one compiled graph for each size of picture, the last few of which are kept."""
from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import openvino
import torch

from basicsr_snn.engines.graph_file import cache_folder
from basicsr_snn.engines.graph_restorer import GraphRestorer

KEPT = 8
"""Compiled sizes that are kept: the tiles of two pictures have at most eight."""


@cache
def core() -> openvino.Core:
    """The one core of this process, which is never given back.

    Each core of 2026.4 lays a stack for signals of its own over that of the one before and takes it away when it ends;
    where they do not end in the opposite order, the next signal that reaches Python crashes the process.
    """
    return openvino.Core()


class OpenVINOGraph(GraphRestorer):
    """Graphs of fixed size, which OpenVINO runs faster than one of any size; threads take turns.

    Sums of floats are taken in float32, also where the processor has bfloat16, so that pictures are those of torch.
    """

    def _open(self, file: Path) -> Mapping[str, str]:
        self._model = core().read_model(file)
        self._compiled: OrderedDict[tuple[int, ...], openvino.CompiledModel] = OrderedDict()
        self._turn = threading.Lock()
        told = self._model.get_rt_info()['framework']
        return {key: str(told[key].value) for key in told}

    def _run(self, pictures: np.ndarray) -> np.ndarray:
        with self._turn:
            return self._for_size(pictures.shape)(pictures, share_inputs=True)[0].copy()

    def _for_size(self, shape: tuple[int, ...]) -> openvino.CompiledModel:
        if shape not in self._compiled:
            fixed = self._model.clone()
            fixed.reshape(shape)
            how = {'CACHE_DIR': str(cache_folder() / 'openvino'),
                   'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': 'f32',
                   'INFERENCE_NUM_THREADS': torch.get_num_threads()}
            self._compiled[shape] = core().compile_model(fixed, 'CPU', how)
            if len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(shape)
        return self._compiled[shape]
