"""Pictures in one block of memory."""
from __future__ import annotations

import multiprocessing
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest

from basicsr_snn.data.picture_cache import PictureCache


@pytest.fixture
def pictures() -> list[np.ndarray]:
    """An odd number of bytes first, so that the 16-bit picture starts at an odd place."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (3, 5, 1), np.uint8), random.integers(0, 2**16, (4, 2, 3), np.uint16),
            random.integers(0, 256, (2, 2, 3), np.uint8)]


def test_gives_back_what_it_was_given(pictures: list[np.ndarray]) -> None:
    cache = PictureCache(iter(pictures))
    assert len(cache) == 3
    assert cache.nbytes == 15 + 48 + 12
    for index, picture in enumerate(pictures):
        np.testing.assert_array_equal(cache[index], picture, strict=True)
    with pytest.raises(IndexError):
        cache[3]


def _darken(cache: PictureCache) -> None:
    cache[1][...] = 7


def test_spawned_worker_shares_the_memory(pictures: list[np.ndarray]) -> None:
    large = np.zeros((1000, 1000, 3), np.uint8)
    cache = PictureCache([large, *pictures])
    assert len(ForkingPickler.dumps(cache)) < 2000
    worker = multiprocessing.get_context('fork').Process(target=_darken, args=(cache,))  # now it is shared memory
    worker.start()
    worker.join()
    assert (cache[1] == 7).all()
