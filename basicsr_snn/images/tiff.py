"""TIFF files: what tifffile reads of their tags tells which decoder reads their pixels right.

Pillow reads 8 bits in every layout and notices damage, which OpenCV does not; OpenCV reads 16 bits, but mixes up planes
and drops the alpha of grey; tifffile reads these, but few ways of compression. Tags that decoders obey each in their
own way (turn, kind of alpha) are made neutral before, and obeyed here.
"""
from __future__ import annotations

import enum
import io
import logging
from dataclasses import dataclass
from typing import BinaryIO

import cv2
import numpy as np
import tifffile
from PIL import Image, TiffImagePlugin

from basicsr_snn.errors import UserError
from basicsr_snn.images.header import ORIENTATION, UPRIGHT, PictureHeader, turned

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, YCBCR = 0, 1, 2, 3, 5, 6
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, INKS: 4, YCBCR: 3}
"""Channels without alpha of each kind of colour that is read."""

BITS = {WHITE_IS_ZERO: (1, 2, 4, 8, 16), BLACK_IS_ZERO: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8),
        INKS: (8,), YCBCR: (8,)}
MODES = {'1': 'L', 'L': 'L', 'LA': 'LA', 'P': 'RGB', 'RGB': 'RGB', 'RGBA': 'RGBA', 'CMYK': 'RGB', 'YCbCr': 'RGB'}
"""What becomes of Pillow's modes."""

UNSIGNED, UNSIGNED_SHORT, PLANES = 1, 3, 2
"""Values of ``SampleFormat``, of the type of a tag, and of ``PlanarConfiguration``."""

EXTRA_SAMPLES, ICC_PROFILE = 338, 34675
PREMULTIPLIED, STRAIGHT = 1, 2
"""Values of ``ExtraSamples``: whether colours are multiplied by alpha."""

NEUTRAL = {ORIENTATION: UPRIGHT, EXTRA_SAMPLES: STRAIGHT}
ROWS_AT_ONCE = 256

logging.getLogger('tifffile').setLevel(logging.CRITICAL)  # what it says of damaged files is said in our sentences


@dataclass(frozen=True)
class TiffHeader(PictureHeader):
    """What the tags of a TIFF file say.

    Attributes:
        refusal: What of it cannot be read, for the middle of a sentence; None: nothing.
        bits: Bits of a channel.
        channels: Channels with alpha.
        negative: Whether 0 is white.
        planar: Whether each channel is stored by itself.
        premultiplied: Whether colours are multiplied by alpha.
        neutral: Places in the file and bytes that take turn and kind of alpha away.
    """

    refusal: str | None = None
    bits: int = 8
    channels: int = 1
    negative: bool = False
    planar: bool = False
    premultiplied: bool = False
    neutral: tuple[tuple[int, bytes], ...] = ()


def read_tiff_header(file: BinaryIO) -> TiffHeader:
    """The tags of the first picture of a TIFF file; any error means that it is damaged."""
    file.seek(0)
    tiff = tifffile.TiffFile(file)
    page = tiff.pages.first
    tags = {code: page.tags[code] for code in NEUTRAL if code in page.tags}
    extra = tuple(int(kind) for kind in page.extrasamples)
    orientation = tags[ORIENTATION].value if ORIENTATION in tags else UPRIGHT
    profile = page.tags.get(ICC_PROFILE)
    colours = COLOURS.get(page.photometric, page.samplesperpixel)
    return TiffHeader(
        page.imagewidth, page.imagelength,
        pages=_count_pages(tiff),
        grey=page.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO),
        transparent=page.samplesperpixel > colours,
        inks=page.photometric == INKS,
        orientation=orientation if orientation in range(1, 9) else UPRIGHT,
        icc_profile=None if profile is None else bytes(profile.value),
        refusal=_refusal(page, colours),
        bits=page.bitspersample,
        channels=page.samplesperpixel,
        negative=page.photometric == WHITE_IS_ZERO,
        planar=page.planarconfig == PLANES and page.samplesperpixel > 1,
        premultiplied=PREMULTIPLIED in extra,
        neutral=tuple((tag.valueoffset, NEUTRAL[code].to_bytes(2, 'little' if tiff.byteorder == '<' else 'big'))
                      for code, tag in tags.items() if tag.dtype == UNSIGNED_SHORT and tag.count == 1))


def _count_pages(tiff: tifffile.TiffFile) -> int:
    """Pictures of a file, but for smaller copies of them."""
    if len(tiff.pages) == 1:
        return 1
    return sum(not (isinstance(page, tifffile.TiffPage) and page.is_reduced) for page in tiff.pages)


def _refusal(page: tifffile.TiffPage, colours: int) -> str | None:
    if page.photometric not in COLOURS:
        return f'colours of the kind {_name(tifffile.PHOTOMETRIC, page.photometric)}'
    if page.sampleformat != UNSIGNED or page.bitspersample not in BITS[page.photometric]:
        kind = f'{page.bitspersample} bits' if page.dtype is None else str(page.dtype)
        return f'{page.samplesperpixel} channels of {kind}'
    if page.samplesperpixel - colours not in ((0,) if page.photometric in (PALETTE, INKS, YCBCR) else (0, 1)):
        return f'{page.samplesperpixel} channels'
    if page.imagedepth > 1:
        return f'{page.imagedepth} layers'
    return None


def _name(kinds: type[enum.IntEnum], number: int) -> str:
    """What the standard calls a number, or the number where it is none of its own."""
    return kinds(number).name if number in set(kinds) else str(number)


def decode_tiff(content: bytes, header: TiffHeader) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode a TIFF file of which nothing is refused; any error means that it is damaged.

    Returns:
        (H, W, 1 or 3) uint8 or uint16, upright, and alpha, (H, W) of the same dtype, or None.

    Raises:
        UserError: its compression cannot be read in this layout.
    """
    neutral = bytearray(content)
    for place, value in header.neutral:
        neutral[place:place + len(value)] = value
    decode = _decode_eight_bits if header.bits <= 8 else _decode_sixteen_bits
    pixels = decode(bytes(neutral), header)
    declared = (header.height, header.width, (1 if header.grey else 3) + header.transparent)
    if pixels.shape != declared:
        raise ValueError(f'{pixels.shape} decoded where {declared} was declared')
    pixels = turned(pixels, header.orientation)
    if not header.transparent:
        return pixels, None
    colours, alpha = np.ascontiguousarray(pixels[:, :, :-1]), np.ascontiguousarray(pixels[:, :, -1])
    if header.premultiplied:
        _straighten(colours, alpha)
    return colours, alpha


def _decode_eight_bits(content: bytes, header: TiffHeader) -> np.ndarray:
    if header.planar and header.channels == 2:  # Pillow mixes them up
        return _decode_by_tifffile(content, header)
    try:
        image = TiffImagePlugin.TiffImageFile(io.BytesIO(content))  # unlike Image.open it sets no limit of its own
        mode = MODES[image.mode]
    except (SyntaxError, KeyError):  # a layout that Pillow does not know
        return _decode_by_tifffile(content, header)
    image.info.pop('xmp', None)  # Pillow turns the picture where that asks for it and no tag does
    image.im = Image.new(image.mode, image.size).im  # where Pillow makes the room, it does set its limit
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _decode_sixteen_bits(content: bytes, header: TiffHeader) -> np.ndarray:
    if header.planar or header.channels == 2:
        return _decode_by_tifffile(content, header)
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError('OpenCV does not decode it')
    if header.negative:
        pixels = np.invert(pixels)
    if pixels.ndim == 2:
        return pixels[:, :, None]
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if header.channels == 3 else cv2.COLOR_BGRA2RGBA)


def _decode_by_tifffile(content: bytes, header: TiffHeader) -> np.ndarray:
    page = tifffile.TiffFile(io.BytesIO(content)).pages.first
    try:
        pixels = page.asarray()
    except ValueError as error:
        if 'imagecodecs' not in str(error):
            raise
        compression = _name(tifffile.COMPRESSION, page.compression)
        raise UserError(f'has the compression {compression}, which is not read in its layout of channels: save it '
                        'without compression, or as a PNG.') from error
    if header.planar:
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    if header.negative:
        pixels = np.concatenate([np.invert(pixels[:, :, :1]), pixels[:, :, 1:]], axis=2)
    return pixels


def _straighten(colours: np.ndarray, alpha: np.ndarray) -> None:
    """Divide colours that are multiplied by alpha, in place."""
    peak = np.iinfo(alpha.dtype).max
    for start in range(0, len(alpha), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        share = np.maximum(alpha[rows, :, None], 1).astype(np.float32) / peak
        colours[rows] = np.minimum(np.rint(colours[rows] / share), peak)


def encode_tiff(colours: np.ndarray, alpha: np.ndarray) -> bytes:
    """A TIFF file of (H, W, 1 or 3) and straight alpha (H, W), of uint8 or uint16, which OpenCV cannot write."""
    file = io.BytesIO()
    tifffile.imwrite(file, np.dstack([colours, alpha]), photometric='rgb' if colours.shape[2] == 3 else 'minisblack',
                     extrasamples=['unassalpha'], compression='zlib', predictor=True, metadata=None, software=False)
    return file.getvalue()
