"""Photographs whose EXIF data, profile, XMP or text is damaged, huge or made to do harm."""
from __future__ import annotations

import io
from pathlib import Path
from random import Random

import numpy as np
from fault import fault
from PIL import Image, PngImagePlugin

from basicsr_snn.images.files import read_picture, write_picture

TARGETS = ('jpg', 'png', 'webp', 'tif', 'bmp')


def damaged(random: Random, data: bytes) -> bytes:
    """Data with some bytes changed, cut, or followed by many more."""
    changed = bytearray(data)
    for _ in range(random.choice([0, 1, 5])):
        place = random.randrange(len(changed))
        changed[place:place + 4] = random.choice([random.randbytes(4), b'\xff' * 4, bytes(4)])
    return random.choice([bytes(changed), bytes(changed[:random.randrange(len(changed))]),
                          bytes(changed) + random.randbytes(random.choice([10, 70_000]))])


@fault('the picture is written, what is lost is told', tries=25)
def photograph_carries_damaged_data(random: Random, folder: Path) -> None:
    pixels = np.random.default_rng(random.getrandbits(32)).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[271], exif[274] = 'Kamera', 1
    exif.get_ifd(0x8769)[37500] = random.randbytes(random.choice([8, 3000]))
    kind = random.choice(['png', 'webp', 'tiff'])
    info = PngImagePlugin.PngInfo()
    info.add(b'iTXt', damaged(random, b'Comment\0\1\0\0\0' + bytes(40)))
    info.add(b'pHYs', damaged(random, bytes(9)))
    more = {} if kind == 'tiff' else {'exif': damaged(random, exif.tobytes())}
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, icc_profile=damaged(random, random.randbytes(500)), **more, **(
        {'pnginfo': info} if kind == 'png' else {'lossless': True} if kind == 'webp' else {'exif': exif}))
    (folder / 'given').write_bytes(file.getvalue())
    picture = read_picture(folder / 'given', carried=True)
    target = folder / f'result.{random.choice(TARGETS)}'
    left_out = write_picture(target, picture.stored, carried=picture.carried)
    assert all(isinstance(reason, str) and reason for reason in left_out)
    result = read_picture(target, carried=True)
    assert result.stored.shape == picture.stored.shape
    assert target.suffix == '.jpg' or np.array_equal(result.stored, picture.stored)
    if picture.stored.shape == pixels.shape:  # else damaged data asked for a turn
        views = [pixels, pixels[::-1], pixels[:, ::-1], pixels[::-1, ::-1]]
        assert any(np.array_equal(picture.stored, view) for view in views)
