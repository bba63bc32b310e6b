"""Pictures and networks for tests of ``basicsr-snn denoise``, and the command itself."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
import yaml

from basicsr_snn import zoo
from basicsr_snn.cli.main import main

SMALL = {'type': 'DnCNN', 'nc': 4, 'nb': 3}


def smooth_picture(*shape: int, bits: int = 8, seed: int = 0) -> np.ndarray:
    """A picture (H, W) or (H, W, C) as OpenCV stores it."""
    coarse = np.random.default_rng(seed).random((4, 5, *shape[2:]), dtype=np.float32)
    fine = cv2.resize(coarse, shape[1::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)
    return np.rint(fine * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def save(path: Path, stored: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), stored)
    return stored


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def as_batch(stored: np.ndarray) -> torch.Tensor:
    """(1, 3, H, W) RGB in 0..1 of a stored BGR picture."""
    rgb = stored[..., ::-1].astype(np.float32) / np.iinfo(stored.dtype).max
    return torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None]


def as_stored(batch: torch.Tensor, dtype: type) -> np.ndarray:
    """The stored BGR picture of (1, 3, H, W) RGB in 0..1."""
    pixels = batch[0].detach().double().clamp(0, 1).mul(np.iinfo(dtype).max).round().numpy()
    return pixels.transpose(1, 2, 0)[..., ::-1].astype(dtype)


def denoise(*arguments: object) -> int:
    return main(['denoise', *map(str, arguments)])


def option_file(folder: Path, network: dict, weights: dict | None = None, **path: object) -> Path:
    """An option file, and beside it ``net.pth`` with the weights of that network."""
    torch.manual_seed(0)
    torch.save(zoo.build(network).state_dict() if weights is None else weights, folder / 'net.pth')
    file = folder / 'x.yml'
    file.write_text(yaml.safe_dump({'network_g': network, 'path': path}))
    return file
