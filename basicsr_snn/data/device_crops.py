"""Training crops, flips and noise drawn where the network trains, from pictures that lie there as bytes."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from basicsr_snn.errors import UserError
from basicsr_snn.images.noise import NoiseLevel


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
        noise: Its level, drawn for each crop.
        device: Where pictures and crops lie.
        generator: The device's generator to draw from.
        use_hflip, use_rot: Whether crops are mirrored left to right; top to bottom and transposed.

    Raises:
        UserError: A picture of 16 bits.
    """

    TABLE = 1 << 16

    def __init__(self, sets: Sequence[Sequence[np.ndarray]], side: int, batch: int, noise: NoiseLevel,
                 device: torch.device, generator: torch.Generator, weights: Sequence[float] | None = None,
                 use_hflip: bool = True, use_rot: bool = True) -> None:
        pictures = [picture for one in sets for picture in one]
        if any(picture.dtype != np.uint8 for picture in pictures):
            raise UserError('datasets: train: `on_device: true` was given, but there are pictures of 16 bits, which '
                            'take twice the memory of a GPU: leave `on_device` out, or write 8-bit pictures.')
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
        self.side, self.batch = side, batch
        self.levels = torch.tensor(noise.values, dtype=torch.float32, device=device)
        self.noise = noise
        self.allowed = torch.tensor([use_hflip, use_rot, use_rot], device=device).view(3, 1, 1)
        self.device, self.generator = device, generator
        self.rows = torch.arange(side, device=device)

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """A noisy batch and the clean one, (N, C, side, side) float32, channels_last; the noise level of each, (N,)."""
        where = torch.randint(self.TABLE, (self.batch,), device=self.device, generator=self.generator)
        start, height, width = self.table[where].unbind(1)
        chance = torch.rand(6, self.batch, device=self.device, generator=self.generator)
        top = (chance[0] * (height - self.side + 1)).long()
        left = (chance[1] * (width - self.side + 1)).long()
        mirror, upside_down, transpose = ((chance[2:5] < 0.5).unsqueeze(-1) & self.allowed).unbind(0)
        down = torch.where(upside_down, self.side - 1 - self.rows, self.rows)
        across = torch.where(mirror, self.side - 1 - self.rows, self.rows)
        row, column = down[:, :, None], across[:, None, :]
        swap = transpose[:, :, None]
        y = torch.where(swap, down[:, None, :], row) + top[:, None, None]
        x = torch.where(swap, across[:, :, None], column) + left[:, None, None]
        crops = self.pixels[start[:, None, None] + y * width[:, None, None] + x]
        clean = crops.movedim(-1, 1).float() / 255
        sigma = self.noise.at(chance[5], self.levels)
        noise = torch.randn(crops.shape, device=self.device, generator=self.generator).movedim(-1, 1)
        return clean + noise * (sigma.view(-1, 1, 1, 1) / 255), clean, sigma
