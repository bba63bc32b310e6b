"""Headers of PNG and WebP files, which are both made of named chunks. Nothing is decoded, unlike in Pillow."""
from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from basicsr_snn.images.header import PictureHeader, orientation_in

LONGEST_CHUNK = 2**24
"""Bytes that are read of a chunk, and unpacked of a colour profile: more may be a bomb."""

PNG_GREY, PNG_WITH_ALPHA = (0, 4), (4, 6)
WEBP_ALPHA = 0x10


def read_png_header(file: BinaryIO) -> PictureHeader:
    """The header of a PNG file, which may hold its EXIF data behind the pixels; any error means that it is damaged."""
    chunks = dict(png_chunks(file))
    width, height, _, colour = struct.unpack('>IIBB', chunks[b'IHDR'][:10])
    return PictureHeader(
        width, height, grey=colour in PNG_GREY,
        pages=struct.unpack('>I', chunks[b'acTL'][:4])[0] if b'acTL' in chunks else 1,
        transparent=colour in PNG_WITH_ALPHA or b'tRNS' in chunks,
        orientation=orientation_in(chunks.get(b'eXIf')), icc_profile=unpacked_png_profile(chunks.get(b'iCCP')))


def read_webp_header(file: BinaryIO) -> PictureHeader:
    """The header of a WebP file; any error means that it is damaged."""
    frames = 0
    chunks: dict[bytes, bytes] = {}
    for name, content in webp_chunks(file):
        frames += name == b'ANMF'
        chunks.setdefault(name, content)
    width, height, transparent = _webp_canvas(chunks)
    return PictureHeader(width, height, pages=max(frames, 1), transparent=transparent,
                         orientation=orientation_in(chunks.get(b'EXIF')), icc_profile=chunks.get(b'ICCP'))


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk of a PNG file, of pixels the beginning only."""
    return _chunks(file, start=8, layout='>I4s', behind=4)


def webp_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk of a WebP file, of pixels the beginning only."""
    return _chunks(file, start=12, layout='<4sI', even=True)


def _chunks(file: BinaryIO, start: int, layout: str, behind: int = 0,
            even: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """Name and beginning of each chunk.

    Args:
        file: The file.
        start: Where the first chunk begins.
        layout: How name and length stand before the content, for ``struct``.
        behind: Bytes of a checksum behind the content.
        even: Whether chunks begin at even places.
    """
    end = file.seek(0, os.SEEK_END)
    while start + 8 <= end:
        file.seek(start)
        one, other = struct.unpack(layout, file.read(8))
        name, length = (one, other) if isinstance(one, bytes) else (other, one)
        pixels = name in (b'IDAT', b'fdAT', b'VP8 ', b'VP8L', b'ANMF')
        yield name, file.read(min(length, 16 if pixels else LONGEST_CHUNK))
        start += 8 + length + behind + (length % 2 if even else 0)


def _webp_canvas(chunks: dict[bytes, bytes]) -> tuple[int, int, bool]:
    """Width, height and whether there is alpha."""
    if b'VP8X' in chunks:
        flags = chunks[b'VP8X'][0]
        width, height = (1 + int.from_bytes(chunks[b'VP8X'][at:at + 3], 'little') for at in (4, 7))
        return width, height, bool(flags & WEBP_ALPHA)
    if b'VP8L' in chunks:
        bits = int.from_bytes(chunks[b'VP8L'][1:5], 'little')
        return 1 + (bits & 0x3fff), 1 + (bits >> 14 & 0x3fff), bool(bits >> 28 & 1)
    width, height = struct.unpack('<HH', chunks[b'VP8 '][6:10])
    return width & 0x3fff, height & 0x3fff, False


def unpacked_png_profile(chunk: bytes | None) -> bytes | None:
    """The colour profile in a chunk iCCP, at most ``LONGEST_CHUNK`` of it."""
    if chunk is None:
        return None
    packed = chunk.partition(b'\0')[2][1:]  # behind the name and the number of the compression
    return zlib.decompressobj().decompress(packed, LONGEST_CHUNK)
