"""What all engines share: an ONNX file as a restorer."""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from basicsr_snn.inference.contract import Restorer


class GraphRestorer(Restorer):
    """A graph that ``basicsr-snn export`` wrote, under the contract of a restorer; it has no gradients.

    Args:
        file: The ONNX file; its metadata tell channels, scale and receptive field.
    """

    compiles_sizes = True

    def __init__(self, file: Path) -> None:
        super().__init__()
        known = self._open(file)
        self.in_ch, self.scale = int(known['channels']), int(known['scale'])
        self.out_ch = int(known.get('written_channels', known['channels']))  # older files do not tell
        self.multiple_of = int(known['stride'])
        field = known['receptive_field']
        self.receptive_field = None if field == 'None' else int(field)
        self.eval()

    @abstractmethod
    def _open(self, file: Path) -> Mapping[str, str]:
        """Open the file; what its metadata say."""

    @abstractmethod
    def _run(self, pictures: np.ndarray) -> np.ndarray:
        """Answer of the graph on (N, C, H, W) float32."""

    def forward(self, picture: Tensor) -> Tensor:
        pictures = picture.detach().to('cpu', torch.float32).contiguous().numpy()
        return torch.from_numpy(self._run(pictures)).to(picture.device, picture.dtype)
