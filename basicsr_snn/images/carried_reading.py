"""Reads what a picture file carries beside its pixels, by the kind of file; no pixel is decoded."""
from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from PIL import BmpImagePlugin, Image, JpegImagePlugin

from basicsr_snn.images import exif
from basicsr_snn.images.carried import (
    LONGEST,
    Carried,
    Collector,
    JpegTables,
    TooMuchError,
    bounded,
    clean_dpi,
    clean_exif,
    exif_dpi,
)
from basicsr_snn.images.chunks import png_chunks, unpacked_png_profile, webp_chunks
from basicsr_snn.images.header import ORIENTATION, UPRIGHT, orientation_in

MOST_TEXTS = 1000
IPTC_START = b'\x1c'
PHOTOSHOP_IPTC = 0x0404
PHOTOSHOP_ELSEWHERE = (0x03ed, 0x0409, 0x040c, 0x040f, 0x0422, 0x0423, 0x0424, 0x0425)
"""Resolution, small pictures, colour profile, EXIF, XMP, a checksum of IPTC: what stands elsewhere, or must go."""

PNG_TEXT = (b'tEXt', b'zTXt', b'iTXt')
PNG_COLOUR = (b'cICP', b'cHRM', b'gAMA', b'sRGB')
XMP_KEY = 'XML:com.adobe.xmp'
INCH = 0.0254

TIFF_XMP, TIFF_ICC, TIFF_IPTC = 700, 34675, 33723
TIFF_LAYOUT = frozenset({254, 255, *range(256, 260), *range(262, 267), 273, *range(277, 282), 284, *range(288, 294),
                         *range(317, 326), *range(330, 343), 347, *range(512, 533), TIFF_XMP, TIFF_ICC, 34377, 37724})
"""Tags that tell how pixels lie in the file, and those that are carried by themselves or hold other pictures."""


def carried_by_png(file: BinaryIO) -> Carried:
    """What a PNG file carries."""
    into = Collector()
    texts: list[tuple[str, str]] = []
    colour: list[tuple[bytes, bytes]] = []
    turn, unread, total = UPRIGHT, 0, 0
    for name, content in png_chunks(file):
        if name in PNG_TEXT:
            total += len(content)
            text = _png_text(name, content) if total <= LONGEST and len(texts) < MOST_TEXTS else None
            unread += text is None
            texts += [text] if text else []
            total += len(text[1]) if text else 0
        elif name == b'eXIf':
            turn = orientation_in(content)
            into.take('exif', 'EXIF data', partial(clean_exif, content))
        elif name == b'iCCP':
            into.take('icc_profile', 'its colour profile', partial(_whole_profile, content))
        elif name == b'pHYs':
            into.take('dpi', 'resolution', partial(_png_dpi, content))
        elif name in PNG_COLOUR and name not in dict(colour):
            colour.append((name, content))
    if unread:
        into.note(f'{unread} {"texts" if unread > 1 else "text"} (damaged, or too long)')
    into.take('xmp', 'XMP data', lambda: _xmp(dict(texts).get(XMP_KEY), turn))
    into.take('text', 'text', lambda: tuple((key, value) for key, value in texts if key != XMP_KEY))
    into.take('png_colour', 'colour chunks', lambda: tuple(colour))
    return _with_dpi_of_exif(into)


def _png_text(name: bytes, content: bytes) -> tuple[str, str] | None:
    """Key and value of a chunk of text; None: it cannot be read."""
    key, _, rest = content.partition(b'\0')
    try:
        if name == b'tEXt':
            return key.decode('latin-1'), rest.decode('latin-1')
        if name == b'zTXt':
            return key.decode('latin-1'), _unpacked(rest[1:]).decode('latin-1')
        packed, rest = rest[:1] == b'\1', rest[2:]
        value = rest.split(b'\0', 2)[2]  # behind language and translated key
        return key.decode('latin-1'), (_unpacked(value) if packed else value).decode()
    except (ValueError, IndexError, zlib.error):
        return None


def _unpacked(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    value = unpacker.decompress(packed, LONGEST)
    if not unpacker.eof:
        raise TooMuchError(f'more than {LONGEST // 2**20} MiB')
    return value


def _whole_profile(chunk: bytes) -> bytes:
    profile = unpacked_png_profile(chunk)
    if profile is None or len(profile) == LONGEST:
        raise TooMuchError(f'more than {LONGEST // 2**20} MiB')
    return profile


def _png_dpi(content: bytes) -> tuple[float, float] | None:
    across, down = (int.from_bytes(content[at:at + 4], 'big') for at in (0, 4))
    return clean_dpi((across * INCH, down * INCH)) if content[8] == 1 else None


def carried_by_webp(file: BinaryIO) -> Carried:
    """What a WebP file carries."""
    chunks: dict[bytes, bytes] = {}
    for name, content in webp_chunks(file):
        chunks.setdefault(name, content)
    into = Collector()
    into.take('exif', 'EXIF data', lambda: clean_exif(chunks.get(b'EXIF')))
    into.take('icc_profile', 'its colour profile', lambda: bounded(chunks.get(b'ICCP')))
    into.take('xmp', 'XMP data', lambda: _xmp(chunks.get(b'XMP '), orientation_in(chunks.get(b'EXIF'))))
    return _with_dpi_of_exif(into)


def carried_by_jpeg(file: BinaryIO) -> Carried:
    """What a JPEG file carries."""
    file.seek(0)
    image = JpegImagePlugin.JpegImageFile(file)
    into = Collector()
    take_info(into, image)
    into.take('text', 'its comment', lambda: _jpeg_comment(image))
    into.take('jpeg', 'its tables of quantisation', lambda: _jpeg_tables(image))
    if 'jfif_unit' in image.info:  # else Pillow takes the resolution from EXIF data, or 72
        into.take('dpi', 'resolution', lambda: clean_dpi(image.info.get('dpi')))
    if 'mp' in image.info:
        into.note('the further pictures behind the first')
    photoshop = image.info.get('photoshop', {})
    into.take('iptc', 'IPTC data', lambda: bounded(photoshop.get(PHOTOSHOP_IPTC)))
    if photoshop.keys() - {PHOTOSHOP_IPTC, *PHOTOSHOP_ELSEWHERE}:
        into.note("Photoshop's own data")
    return _with_dpi_of_exif(into)


def _jpeg_comment(image: Image.Image) -> tuple[tuple[str, str], ...]:
    comment = bounded(image.info.get('comment')).rstrip(b'\0')
    if not comment:
        return ()
    try:
        return (('Comment', comment.decode()),)
    except UnicodeDecodeError:
        return (('Comment', comment.decode('latin-1')),)


def _jpeg_tables(image: JpegImagePlugin.JpegImageFile) -> JpegTables | None:
    tables = tuple(tuple(int(step) for step in table) for _, table in sorted(image.quantization.items()))
    sound = 1 <= len(tables) <= 4 and all(len(table) == 64 and min(table) >= 1 and max(table) <= 255
                                          for table in tables)
    return JpegTables(tables, JpegImagePlugin.get_sampling(image)) if sound else None


def take_info(into: Collector, image: Image.Image) -> None:
    """What Pillow has in ``info`` under one name for all formats."""
    into.take('exif', 'EXIF data', lambda: clean_exif(image.info.get('exif')))
    into.take('icc_profile', 'its colour profile', lambda: bounded(image.info.get('icc_profile')))
    into.take('xmp', 'XMP data', lambda: _xmp(image.info.get('xmp'), orientation_in(image.info.get('exif'))))


def carried_by_bmp(file: BinaryIO) -> Carried:
    """What a BMP file carries."""
    file.seek(0)
    into = Collector()
    into.take('dpi', 'resolution', lambda: clean_dpi(BmpImagePlugin.BmpImageFile(file).info.get('dpi')))
    return into.found


def carried_by_tiff(file: BinaryIO) -> Carried:
    """What the first picture of a TIFF file carries."""
    file.seek(0)
    data = file.read()
    into = Collector()
    if data[2:4] in (b'+\0', b'\0+'):
        into.note('its tags, which are those of a BigTIFF file')
        return into.found
    order = exif.byte_order(data)
    main = exif.Directory()
    try:
        main = exif.read_directories(data)
    except ValueError:
        into.note('its tags (damaged)')
    profile, packet, turn, iptc = (main.entries.get(code) for code in (TIFF_ICC, TIFF_XMP, ORIENTATION, TIFF_IPTC))
    into.take('icc_profile', 'its colour profile', lambda: bounded(profile.value if profile else b''))
    into.take('xmp', 'XMP data', lambda: _xmp(packet.value if packet else b'', max(turn.value) if turn else UPRIGHT))
    if iptc and iptc.value.startswith(IPTC_START):  # it stays among the tags, too
        into.take('iptc', 'IPTC data', lambda: bounded(iptc.value))
    kept = exif.Directory({tag: entry for tag, entry in main.entries.items() if tag not in TIFF_LAYOUT}, main.below)
    if kept.entries or kept.below:
        into.take('exif', 'EXIF data', lambda: clean_exif(exif.write_directories(kept, order)))
    return _with_dpi_of_exif(into)


def carried_by_image(open_image: Callable[[BinaryIO], Image.Image], file: BinaryIO) -> Carried:
    """What a file carries that Pillow opens with ``open_image``."""
    file.seek(0)
    image = open_image(file)
    into = Collector()
    take_info(into, image)
    return _with_dpi_of_exif(into)


def _with_dpi_of_exif(into: Collector) -> Carried:
    if into.found.dpi is None and into.found.exif:
        into.take('dpi', 'resolution', lambda: exif_dpi(into.found.exif))
    return into.found


def _xmp(data: bytes | str | None, turn: int) -> bytes:
    packet = bounded(data.encode() if isinstance(data, str) else data)
    return exif.clean_xmp(packet, turned=turn != UPRIGHT)
