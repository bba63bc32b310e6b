"""BasicSR's own data sets on bombs and broken pictures."""
from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from basicsr.data import build_dataset
from basicsr.utils import imfrombytes
from PIL import Image

from basicsr_snn.errors import UserError
from basicsr_snn.images import limits

PAIRS = {'type': 'PairedImageDataset', 'dataroot_gt': 'pictures', 'dataroot_lq': 'pictures', 'scale': 1}
SINGLE = {'type': 'SingleImageDataset', 'dataroot_lq': 'pictures'}


@pytest.fixture
def one(work):
    """A folder of one picture, since BasicSR reads folders in no order."""
    for other in '123':
        (work / f'pictures/{other}.png').unlink()
    return work


def first_item(block: dict) -> dict:
    return build_dataset({'name': 'x', 'phase': 'val', 'io_backend': {'type': 'disk'}, **block})[0]


@pytest.mark.parametrize('block', [PAIRS, SINGLE])
def test_whole_pictures_are_read_as_before(one, block):
    stored = cv2.imread('pictures/0.png')[..., ::-1].astype(np.float32) / 255
    np.testing.assert_array_equal(first_item(block)['lq'].numpy().transpose(1, 2, 0), stored)


@pytest.mark.parametrize('block', [PAIRS, SINGLE])
@pytest.mark.parametrize('content', [b'', b'no picture', None])
def test_broken_pictures_are_named(one, block, content):
    whole = (one / 'pictures/0.png').read_bytes()
    (one / 'pictures/0.png').write_bytes(whole[:-40] if content is None else content)
    with pytest.raises(UserError, match=r'pictures/0\.png is no readable picture'):
        first_item(block)


@pytest.mark.parametrize('block', [PAIRS, SINGLE])
def test_bombs_are_refused(one, monkeypatch, block):
    monkeypatch.setenv(limits.VARIABLE, '0.001')
    with pytest.raises(UserError, match=re.escape('pictures/0.png declares 40x36 pixels')):
        first_item(block)


def test_flags_are_passed_on():
    content = cv2.imencode('.png', np.full((3, 4, 3), 7, np.uint8))[1].tobytes()
    assert imfrombytes(content, 'grayscale').shape == (3, 4)
    assert imfrombytes(content, flag='unchanged', float32=True).dtype == np.float32


def test_several_pages_are_refused(one):
    picture = Image.open('pictures/0.png')
    picture.save('pictures/0.png', save_all=True, append_images=[picture.rotate(180)])
    with pytest.raises(UserError, match='pictures/0.png holds 2 pictures'):
        first_item(SINGLE)


def test_a_picture_that_an_lmdb_lacks_is_named():
    with pytest.raises(UserError, match='The lmdb holds no picture'):
        imfrombytes(None)
