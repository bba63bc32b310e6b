"""Which picture each training item shows, and a seed for its crop and noise, on any number of processes and workers."""
from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from basicsr.utils import get_root_logger
from torch.utils.data import Dataset, Sampler


class Draw(int):
    """Index of a picture, with the seed of all that is drawn at random for this one item.

    The seed travels with the index, so that a worker process needs to know neither epoch nor rank. Any dataset takes
    it as a plain index.

    Attributes:
        seed: 32 bits, which is what torch's CPU generator starts from.
    """

    seed: int

    def __new__(cls, index: int, seed: int) -> Draw:
        draw = super().__new__(cls, index)
        draw.seed = seed
        return draw

    def __reduce__(self) -> tuple[type[Draw], tuple[int, int]]:
        return Draw, (int(self), self.seed)


@contextmanager
def seeded_by(index: int) -> Iterator[None]:
    """Start torch's CPU generator from the seed of a :class:`Draw`, and give it back as it was.

    A plain index changes nothing: draws then come from the generator as it stands. ``torch.manual_seed`` would not do,
    since it starts the generators of all GPUs anew too.
    """
    if not isinstance(index, Draw):
        yield
        return
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(index.seed)
        yield


def seed_step(seed: int, rank: int, iteration: int) -> None:
    """Start all generators of this process anew for one training step.

    What losses and networks draw at random then follows from ``manual_seed``, process and iteration alone: a resumed
    training draws what an unbroken one does, whatever a validation or a loader drew meanwhile.
    """
    mixed = np.random.SeedSequence((seed, rank, iteration)).generate_state(1).item()
    random.seed(mixed)
    np.random.seed(mixed)
    torch.default_generator.manual_seed(mixed)  # torch.manual_seed takes ten times as long
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(mixed)


class DrawnDataset(Dataset[Any]):
    """A training set all of whose draws follow from the :class:`Draw` of each item, as it sees to itself."""

    def __len__(self) -> int:
        raise NotImplementedError


class SeededItems(DrawnDataset):
    """Any training set, whose draws by Python, NumPy and torch then follow from the :class:`Draw` of each item.

    BasicSR's own sets draw crops and flips from generators that a worker starts alike in each epoch and after a resume.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if isinstance(index, Draw):
            random.seed(index.seed)
            np.random.seed(index.seed)
        with seeded_by(index):
            return self.dataset[index]


def follow_draws(dataset: Any) -> DrawnDataset:
    """A training set, so that all its draws follow from the :class:`Draw` of each item."""
    return dataset if isinstance(dataset, DrawnDataset) else SeededItems(dataset)


class DrawSampler(Sampler[Draw]):
    """The draws of one process: every ``world_size``-th of an order that depends on ``seed`` and ``epoch`` only.

    Each batch of one process holds the same items as the batches of several processes together, if these are smaller
    by that factor. An epoch is filled up to whole global batches, so that none is lost or padded; BasicSR's
    ``EnlargedSampler`` pads to ``world_size``, the loader then drops the rest, and a training with a rest in its
    epochs, or with fewer pictures than a batch, ended before ``total_iter``.

    Args:
        pictures: length of the dataset.
        global_batch: items of one iteration, all processes together.
        seed: same on all processes.
        enlarge_ratio: an epoch shows each picture this often.
        world_size: number of processes.
        rank: number of this process.

    Attributes:
        iterations: iterations of an epoch.
        epoch: set by BasicSR before each epoch.
    """

    def __init__(self, pictures: int, global_batch: int, seed: int, enlarge_ratio: float = 1, world_size: int = 1,
                 rank: int = 0) -> None:
        self.pictures, self.numbers = pictures, math.ceil(pictures * enlarge_ratio)
        self.global_batch, self.iterations = global_batch, math.ceil(self.numbers / global_batch)
        self.seed, self.world_size, self.rank = seed, world_size, rank
        self.epoch = 0
        self.resumed_epoch, self.resumed_iterations = 0, 0

    def __len__(self) -> int:
        return self.iterations * self.global_batch // self.world_size

    def __iter__(self) -> Iterator[Draw]:
        total = self.iterations * self.global_batch
        mixed = np.random.SeedSequence((self.seed, self.epoch)).generate_state(1).item()
        generator = torch.Generator().manual_seed(mixed)
        rounds = [torch.randperm(self.numbers, generator=generator) for _ in range(math.ceil(total / self.numbers))]
        indices = torch.cat(rounds)[:total] % self.pictures
        seeds = torch.randint(2**32, (total,), generator=generator)
        done = self.resumed_iterations * self.global_batch if self.epoch == self.resumed_epoch else 0
        mine = slice(done + self.rank, None, self.world_size)
        return map(Draw, indices[mine].tolist(), seeds[mine].tolist())

    def set_epoch(self, epoch: int) -> None:
        """Called by BasicSR before each epoch."""
        self.epoch = epoch

    def resume(self, epoch: int, iteration: int) -> None:
        """Go on behind the draws that ``iteration`` iterations, the last of them in ``epoch``, have seen.

        Where global batch or dataset are not those of that checkpoint, the epoch starts anew.
        """
        finished = iteration - epoch * self.iterations
        if not 0 <= finished <= self.iterations:
            get_root_logger().warning(
                f'The checkpoint of iteration {iteration} in epoch {epoch} was trained with other epochs than these of '
                f'{self.iterations} iterations (batch size, processes or pictures differ): epoch {epoch} starts anew.')
            finished = 0
        self.epoch = self.resumed_epoch = epoch
        self.resumed_iterations = finished

    def epochs_to(self, total_iterations: int, iteration: int = 0) -> int:
        """Epochs until ``total_iterations``, if ``iteration`` of them are done."""
        start = iteration - self.resumed_iterations
        return self.resumed_epoch + math.ceil((total_iterations - start) / self.iterations)
