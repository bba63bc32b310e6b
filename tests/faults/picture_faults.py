"""Picture files that are cut, damaged, unusual or made to do harm, and folders full of what is no picture."""
from __future__ import annotations

import io
import os
import struct
import time
import zlib
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from fault import fault
from PIL import Image, ImageOps

from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import picture_size, read_picture
from basicsr_snn.images.listing import find_pictures
from basicsr_snn.images.reading import decode

SAVED: dict[str, tuple[tuple[str, ...], tuple[dict, ...]]] = {
    'png': (('1', 'L', 'LA', 'P', 'RGB', 'RGBA'), ({}, {'compress_level': 0})),
    'jpeg': (('L', 'RGB', 'CMYK'), ({}, {'progressive': True}, {'quality': 100, 'subsampling': 0})),
    'webp': (('RGB', 'RGBA'), ({}, {'lossless': True, 'exact': True})),
    'tiff': (('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK', 'I', 'F'),
             ({}, {'compression': 'tiff_lzw'}, {'compression': 'tiff_adobe_deflate'}, {'compression': 'packbits'})),
    'bmp': (('1', 'L', 'P', 'RGB'), ({},)),
}
"""Kinds of files, with the modes and settings in which Pillow writes them."""

LONGEST_SECONDS = 5
"""For what takes milliseconds where nothing else runs."""


def a_file(random: Random) -> tuple[str, str, bytes]:
    """Kind, mode and content of a small picture file."""
    kind = random.choice(sorted(SAVED))
    modes, settings = SAVED[kind]
    mode = random.choice(modes)
    shape = random.choice([(1, 1), (1, 90), (90, 1), (33, 47), (64, 64)])
    values = np.random.default_rng(random.getrandbits(32)).integers(0, 256, (*shape, 4), dtype=np.uint8)
    picture = Image.fromarray(values if 'A' in mode else values[..., :3])
    exif = Image.Exif()
    exif[0x0112] = random.randint(1, 8)
    file = io.BytesIO()
    (picture.convert('L') if mode in 'IF' else picture).convert(mode).save(
        file, kind, **random.choice(settings), **({} if kind == 'bmp' else {'exif': exif}))
    return kind, mode, file.getvalue()


def read_or_refused(content: bytes) -> tuple[np.ndarray, np.ndarray | None] | None:
    """What is read of a file, which is a picture that fits together; None: it was refused in a sentence."""
    start = time.monotonic()
    try:
        colours, alpha = decode(content, 'x')
    except UserError:
        return None
    finally:
        assert time.monotonic() - start < LONGEST_SECONDS
    assert colours.dtype in (np.uint8, np.uint16)
    assert colours.shape[2] in (1, 3)
    assert alpha is None or (alpha.dtype, alpha.shape) == (colours.dtype, colours.shape[:2])
    return colours, alpha


def equal(one: tuple[np.ndarray, np.ndarray | None], other: tuple[np.ndarray, np.ndarray | None]) -> bool:
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


@fault('refused in a sentence, unless all pixels are there', tries=60)
def picture_file_is_cut_short(random: Random, folder: Path) -> None:
    _, _, content = a_file(random)
    whole = read_or_refused(content)
    found = read_or_refused(content[:random.randrange(len(content))])
    assert found is None or whole is not None and equal(found, whole)


@fault('refused in a sentence, or a picture; never another one where the file has checksums', tries=100)
def picture_file_is_damaged(random: Random, folder: Path) -> None:
    kind, _, content = a_file(random)
    whole, damaged = read_or_refused(content), bytearray(content)
    for _ in range(random.choice([1, 1, 3, 20])):
        place = random.randrange(min(len(damaged), random.choice([64, len(damaged)])))
        length = random.choice([1, 1, 4, 40])
        damaged[place:place + length] = random.choice([
            random.randbytes(length), bytes(length), b'\xff' * length, b'',
            random.randbytes(length) + bytes(damaged[place:place + length])])
    found = read_or_refused(bytes(damaged))
    if kind == 'png' and found is not None:
        assert whole is not None
        assert np.array_equal(found[0], whole[0]) or _turned_only(found, whole)


def _turned_only(found: tuple, whole: tuple) -> bool:
    """Whether two pictures differ in the turn at most, which EXIF data behind a damaged checksum may ask for."""
    views = [np.rot90(flipped, turns) for flipped in (whole[0], whole[0][:, ::-1]) for turns in range(4)]
    return any(np.array_equal(found[0], view) for view in views)


@fault('refused in a sentence before it is decoded', tries=20)
def picture_declares_more_than_memory_holds(random: Random, folder: Path) -> None:
    width, height = (random.choice([20_000, 30_000, 65_500, 2**20, 2**31 - 1]) for _ in range(2))
    kind = random.choice(['png', 'jpeg', 'tiff', 'bmp', 'webp'])
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(random.randrange(10**6)), 9)
    small = io.BytesIO()
    Image.new('RGB', (16, 16)).save(small, 'jpeg' if kind == 'jpeg' else 'tiff')
    content = small.getvalue()
    if kind == 'png':
        content = b'\x89PNG\r\n\x1a\n' + b''.join(
            struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
            for name, data in ((b'IHDR', head), (b'IDAT', packed), (b'IEND', b'')))
    elif kind == 'jpeg':
        frame = content.index(b'\xff\xc0') + 5
        content = content[:frame] + struct.pack('>HH', min(height, 65_500), min(width, 65_500)) + content[frame + 4:]
    elif kind == 'tiff':
        for code, value in ((256, width), (257, height)):
            entry = content.index(struct.pack('<HHI', code, 4, 1)) + 8
            content = content[:entry] + struct.pack('<I', value) + content[entry + 4:]
    elif kind == 'bmp':
        content = b'BM' + struct.pack('<IHHIIiiHHIIiiII', 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    else:
        content = (b'RIFF' + struct.pack('<I', 30) + b'WEBPVP8X' + struct.pack('<I', 10) + bytes(4)
                   + min(width, 2**24 - 1).to_bytes(3, 'little') + min(height, 2**24 - 1).to_bytes(3, 'little'))
    (folder / 'x').write_bytes(content)
    start = time.monotonic()
    for read in (picture_size, read_picture):
        with pytest.raises(UserError, match='x declares '):
            read(folder / 'x')
    assert time.monotonic() - start < LONGEST_SECONDS


@fault('read as Pillow reads it, or refused in a sentence', tries=60)
def picture_file_is_unusual(random: Random, folder: Path) -> None:
    kind, mode, content = a_file(random)
    found = read_or_refused(content)
    if mode in ('I', 'F'):
        assert found is None
        return
    assert found is not None, (kind, mode)
    picture = Image.open(io.BytesIO(content))
    picture.load()
    expected = picture.convert('RGBA' if 'A' in mode else 'RGB')
    if kind != 'tiff':  # which Pillow turns by itself
        expected = ImageOps.exif_transpose(expected)
    colours = np.broadcast_to(found[0], (*found[0].shape[:2], 3)).astype(int)
    assert np.abs(colours - np.asarray(expected)[..., :3]).max() <= (1 if mode == 'CMYK' else 0), (kind, mode)
    assert 'A' not in mode or np.array_equal(found[1], np.asarray(expected)[..., 3])


@fault('each picture is found once, everything else is named', tries=20)
def folder_is_full_of_odd_things(random: Random, folder: Path) -> None:
    root = folder / 'root'
    folders, pictures, others = [root], 0, 0
    root.mkdir()
    for number in range(random.randint(1, 40)):
        inside = random.choice(folders)
        place = inside / f'{number}{random.choice(["", ".png", ".JPG", ".txt"])}'
        kind = random.choice(['file', 'folder', 'hidden', 'loop', 'dangling', 'fifo', 'itself'])
        if kind == 'file':
            place.write_bytes(b'')
            pictures += place.suffix in ('.png', '.JPG')
            others += place.suffix not in ('.png', '.JPG')
            continue
        if kind == 'folder':
            place.mkdir()
            folders.append(place)
            continue
        others += 1
        if kind == 'hidden':
            place.with_name(f'.{place.name}').write_bytes(b'')
        elif kind == 'fifo':
            os.mkfifo(place)
        else:
            place.symlink_to({'loop': random.choice(folders), 'dangling': 'nowhere', 'itself': place}[kind])
    (root / 'sure.png').write_bytes(b'')
    listing = find_pictures(root, recursive=True)
    assert (len(listing.pictures), len(listing.left_out)) == (pictures + 1, others)
    assert (listing.what_is_left_out() or '0').startswith(str(others))


@fault('the others are restored, the bad one is named, exit status 1', tries=2)
def one_of_several_pictures_is_bad(random: Random, folder: Path) -> None:
    given, written = folder / 'in', folder / 'out'
    given.mkdir()
    cv2.imwrite(str(given / 'good.png'), np.full((8, 8, 3), 100, np.uint8))
    _, _, content = a_file(random)
    (given / 'bad.png').write_bytes(content[:len(content) // 3])
    errors = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(errors):
        status = main(['denoise', '-n', 'spikerir_tiny_color25', '-i', str(given), '-o', str(written)])
    assert (status, [file.name for file in written.iterdir()]) == (1, ['good.png']), errors.getvalue()
    assert f'{given / "bad.png"} ' in errors.getvalue()
