"""Training crops, flips and noise drawn where the network trains, from pictures that lie there as bytes."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class DeviceCrops:
    """Batches of random crops with fresh Gaussian noise, made on the device in a handful of kernels.

    The distribution is that of :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`: a
    picture of each set with equal chance inside the set, a place with equal chance, one of the 8 symmetries, noise that
    is neither clipped nor rounded. The stream of random numbers is another than that of the data workers: the device's
    counter-based generator (Philox), whose seed and offset are the whole state. Nothing waits for the CPU, so that a
    CUDA graph can capture a draw.

    Args:
        sets: Pictures of each set, (H, W, C) uint8 arrays.
        weights: How often a crop comes from each set; by default in proportion to its pictures.
        side: Side of the square crop; no picture may be smaller.
        batch: Crops of a batch.
        sigma: Noise level, 0..255 scale; two numbers: drawn for each crop between them.
        device: Where pictures and crops lie.
        generator: The device's generator to draw from.
    """

    TABLE = 1 << 16

    def __init__(self, sets: Sequence[Sequence[np.ndarray]], side: int, batch: int, sigma: tuple[float, float],
                 device: torch.device, generator: torch.Generator, weights: Sequence[float] | None = None) -> None:
        pictures = [picture for one in sets for picture in one]
        weights = [len(one) for one in sets] if weights is None else weights
        chance = np.concatenate([np.full(len(one), weight / len(one))
                                 for one, weight in zip(sets, weights, strict=True)])
        places = np.searchsorted(np.cumsum(chance) / chance.sum(), (np.arange(self.TABLE) + 0.5) / self.TABLE)
        sizes = np.array([picture.shape[:2] for picture in pictures])
        starts = np.concatenate([[0], np.cumsum(sizes.prod(1))[:-1]])

        def on_device(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device)

        self.pixels = on_device(np.concatenate([picture.reshape(-1, picture.shape[2]) for picture in pictures]))
        self.table = on_device(np.stack([starts[places], sizes[places, 0], sizes[places, 1]], 1))
        self.side, self.batch, self.sigma = side, batch, sigma
        self.device, self.generator = device, generator
        self.rows = torch.arange(side, device=device)

    def draw(self) -> tuple[Tensor, Tensor]:
        """A noisy batch and the clean one, (N, C, side, side) float32, channels_last."""
        where = torch.randint(self.TABLE, (self.batch,), device=self.device, generator=self.generator)
        start, height, width = self.table[where].unbind(1)
        chance = torch.rand(6, self.batch, device=self.device, generator=self.generator)
        top = (chance[0] * (height - self.side + 1)).long()
        left = (chance[1] * (width - self.side + 1)).long()
        mirror, upside_down, transpose = (chance[2:5] < 0.5).unsqueeze(-1).unbind(0)
        down = torch.where(upside_down, self.side - 1 - self.rows, self.rows)
        across = torch.where(mirror, self.side - 1 - self.rows, self.rows)
        row, column = down[:, :, None], across[:, None, :]
        swap = transpose[:, :, None]
        y = torch.where(swap, down[:, None, :], row) + top[:, None, None]
        x = torch.where(swap, across[:, :, None], column) + left[:, None, None]
        crops = self.pixels[start[:, None, None] + y * width[:, None, None] + x]
        clean = crops.movedim(-1, 1).float() / 255
        lowest, highest = self.sigma
        sigma = (lowest + (highest - lowest) * chance[5]).view(-1, 1, 1, 1)
        noise = torch.randn(crops.shape, device=self.device, generator=self.generator).movedim(-1, 1)
        return clean + noise * (sigma / 255), clean
