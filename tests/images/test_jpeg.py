"""JPEG in memory: colours, grey, and how colours are stored."""
from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from basicsr_snn.images.jpeg import SUBSAMPLINGS, stored_as_jpeg

OF_PILLOW = {420: '4:2:0', 422: '4:2:2', 444: '4:4:4'}


@pytest.fixture(scope='module')
def picture() -> np.ndarray:
    """Coloured patches, 48x64."""
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC))


def by_pillow(picture: np.ndarray, **settings: object) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture.squeeze()).save(file, 'JPEG', **settings)
    decoded = np.asarray(Image.open(file))
    return decoded.reshape(picture.shape)


@pytest.mark.parametrize('subsampling', SUBSAMPLINGS)
@pytest.mark.parametrize('quality', [10, 40, 90])
def test_pillow_stores_the_same(picture, subsampling, quality):
    """Both use libjpeg's tables; decoders may round differently by a step."""
    ours = stored_as_jpeg(picture, quality, subsampling).astype(int)
    assert np.abs(ours - by_pillow(picture, quality=quality, subsampling=OF_PILLOW[subsampling])).mean() < 0.5


def test_grey_pictures_are_stored_as_grey(picture):
    grey = np.ascontiguousarray(picture[..., :1])
    stored = stored_as_jpeg(grey, 10)
    assert (stored.shape, stored.dtype) == (grey.shape, np.uint8)
    assert np.abs(stored.astype(int) - by_pillow(grey, quality=10)).mean() < 0.5


def test_the_default_is_what_opencv_does_by_itself(picture):
    import cv2

    content = cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 30])[1]
    np.testing.assert_array_equal(stored_as_jpeg(picture, 30), cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1])


def test_full_colours_are_nearer(picture):
    errors = [np.abs(stored_as_jpeg(picture, 90, how).astype(int) - picture).mean() for how in (420, 422, 444)]
    assert errors[0] > errors[1] > errors[2]
