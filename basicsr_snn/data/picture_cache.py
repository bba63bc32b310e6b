"""Decoded pictures, kept in memory once for all processes that read them."""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch


class PictureCache:
    """A fixed list of pictures in one block of memory.

    Worker processes share it: forked ones as any memory that nobody writes, and spawned ones (BasicSR starts its
    workers so under a launcher) because multiprocessing sends a tensor by reference, moving it to shared memory. One
    block, since each shared tensor takes a file descriptor.

    Args:
        pictures: arrays of any shape, uint8 or uint16.
    """

    def __init__(self, pictures: Iterable[np.ndarray]) -> None:
        content = bytearray()
        self._places = []
        for picture in pictures:
            self._places.append((picture.shape, picture.dtype, len(content)))
            content += picture.tobytes()
        self._content = torch.frombuffer(content, dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> np.ndarray:
        shape, dtype, offset = self._places[index]
        return np.ndarray(shape, dtype, self._content.numpy(), offset)

    @property
    def nbytes(self) -> int:
        """Memory of the pixels."""
        return len(self._content)
