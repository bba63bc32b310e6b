"""One pass over a validation set: the network that ships restores all pictures, the first are watched closely."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from basicsr_snn.activity.tensorboard import ValidationRecord
from basicsr_snn.data.batch import Batch
from basicsr_snn.energy import OperationCounter
from basicsr_snn.inference.calling import restore
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.inference.tiling import tiled_forward


class Validation:
    """A validation as it goes on, picture by picture.

    Args:
        net: The folded network.
        counted: Of how many pictures operations are counted.
        watched: Whether neurons and pictures of these are kept for TensorBoard.
        tile: Side of the tiles in pixels; 0: whole pictures.
        tile_pad: Overlap of the tiles in pixels.

    Attributes:
        counter: What it counted so far.
        record: What is kept for TensorBoard; None where nothing is.
        scale: By how much the last picture was enlarged.
    """

    scale = 1

    def __init__(self, net: Restorer, counted: int = 0, watched: bool = False, tile: int = 0,
                 tile_pad: int = 0) -> None:
        self.net = net
        self.counter = OperationCounter(net.network)
        self.record = ValidationRecord(net.network) if counted and watched else None
        self._tile, self._tile_pad = tile, tile_pad
        self._left_to_count = counted

    def restore(self, batch: Batch) -> Tensor:
        """Restore one batch, (N, C, H, W) to the same, or to enlarged pictures."""
        with self._next_picture() as counted, torch.inference_mode():
            if self._tile:
                restored = tiled_forward(self.net, batch.lq, self._tile, self._tile_pad, sigma=batch.sigma)
            else:
                restored = restore(self.net, batch.lq, batch.sigma)
        self.scale = restored.shape[-1] // batch.lq.shape[-1]
        if counted and self.record:
            self.record.add_pictures(batch.lq, restored, batch.gt)
        return restored

    @contextmanager
    def _next_picture(self) -> Iterator[bool]:
        """Context that counts and watches if this picture's turn it is; tells whether it does."""
        counted = self._left_to_count > 0
        self._left_to_count -= counted
        with ExitStack() as contexts:
            for context in (self.counter, self.record) if counted else ():
                if context is not None:
                    contexts.enter_context(context)
            yield counted
