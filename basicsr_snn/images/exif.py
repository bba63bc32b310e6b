"""EXIF data as the bytes that they are: directories of tags, as in a TIFF file.

Pillow's own class would turn every letter beyond ASCII into a question mark and move the notes of the camera's maker,
which refer to places in the data. So values are never interpreted here, and what has to change is changed in place
where that can be done.
"""
from __future__ import annotations

import re
import struct
from contextlib import suppress
from dataclasses import dataclass, field, replace

from basicsr_snn.images.header import ORIENTATION, UPRIGHT

MARK = b'Exif\0\0'
"""What stands before the data in some files."""

EXIF_FIELDS, GPS_FIELDS, INTEROPERABILITY = 0x8769, 0x8825, 0xa005
POINTERS = (EXIF_FIELDS, GPS_FIELDS, INTEROPERABILITY)
"""Tags whose value is the place of a directory below."""

X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, INCHES, CENTIMETRES = 282, 283, 296, 2, 3
THUMBNAIL_PLACE, THUMBNAIL_BYTES = 0x0201, 0x0202
WIDTHS, HEIGHTS = (256, 0xa002), (257, 0xa003)
"""Tags of the size of the picture, in the first directory and in that of the EXIF fields."""

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value of each type."""

UNITS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
"""Bytes that change places where the byte order does, for types of more than one."""

MOST_BYTES = 2**24
"""Of all values together: entries that share a place could otherwise multiply without measure."""


@dataclass(frozen=True)
class Entry:
    """One tag: type, count, and its value in the data's byte order."""

    kind: int
    count: int
    value: bytes


@dataclass
class Directory:
    """Tags by their number, and the directories below by the tag that points to them."""

    entries: dict[int, Entry] = field(default_factory=dict)
    below: dict[int, Directory] = field(default_factory=dict)


@dataclass(frozen=True)
class _Table:
    """Where a directory lies: its first byte, how many entries it has, and what it points to next."""

    place: int
    count: int
    following: int

    @property
    def stop(self) -> int:
        return self.place + 2 + 12 * self.count + 4


def byte_order(data: bytes) -> str:
    """``<`` or ``>``, as in ``struct``.

    Raises:
        ValueError: these are no EXIF data.
    """
    order = {b'II*\0': '<', b'MM\0*': '>'}.get(data[:4])
    if order is None:
        raise ValueError('neither II nor MM')
    return order


def read_directories(data: bytes) -> Directory:
    """The first directory and those below it; entries that lead outside the data are left out.

    Raises:
        ValueError: the data are damaged.
    """
    order = byte_order(data)
    left = [MOST_BYTES]
    return _read(data, order, _number(data, order, 4), left)


def _read(data: bytes, order: str, place: int, left: list[int]) -> Directory:
    found = Directory()
    for tag, kind, count, at in _entries(data, order, _table(data, order, place)):
        value = data[at:at + count * SIZES.get(kind, 0)]
        if kind not in SIZES or len(value) < count * SIZES[kind]:
            continue
        left[0] -= len(value)
        if left[0] < 0:
            raise ValueError('more values than the data hold')
        if tag not in POINTERS:
            found.entries[tag] = Entry(kind, count, value)
        elif len(value) == 4:
            try:
                found.below[tag] = _read(data, order, struct.unpack(order + 'I', value)[0], left)
            except ValueError:
                continue
    return found


def _table(data: bytes, order: str, place: int) -> _Table:
    if not 8 <= place <= len(data) - 2:
        raise ValueError('a directory lies outside the data')
    count = struct.unpack_from(order + 'H', data, place)[0]
    stop = place + 2 + 12 * count
    if stop > len(data):
        raise ValueError('a directory is cut short')
    return _Table(place, count, _number(data, order, stop) if stop + 4 <= len(data) else 0)


def _entries(data: bytes, order: str, table: _Table) -> list[tuple[int, int, int, int]]:
    """Tag, type, count and place of the value of each entry."""
    found = []
    for at in range(table.place + 2, table.place + 2 + 12 * table.count, 12):
        tag, kind, count = struct.unpack_from(order + 'HHI', data, at)
        inline = count * SIZES.get(kind, 1) <= 4
        found.append((tag, kind, count, at + 8 if inline else _number(data, order, at + 8)))
    return found


def _number(data: bytes, order: str, place: int) -> int:
    if place + 4 > len(data):
        raise ValueError('cut short')
    return int(struct.unpack_from(order + 'I', data, place)[0])


def write_directories(directory: Directory, order: str, place: int = 8, start: bool = True) -> bytes:
    """The bytes of a directory that begins at ``place``; with ``start`` the eight bytes before it too."""
    pointers = {tag: Entry(LONG, 1, bytes(4)) for tag in directory.below}
    entries = {**directory.entries, **pointers}
    behind = place + 2 + 12 * len(entries) + 4
    rows, values = bytearray(), bytearray()
    for tag in sorted(entries):
        entry = entries[tag]
        value = entry.value
        at = behind + len(values)
        if tag in directory.below:
            values += _even(write_directories(directory.below[tag], order, at, start=False))
            value = struct.pack(order + 'I', at)
        elif len(value) > 4:
            values += _even(value)
            value = struct.pack(order + 'I', at)
        rows += struct.pack(order + 'HHI', tag, entry.kind, entry.count) + value.ljust(4, b'\0')
    written = struct.pack(order + 'H', len(entries)) + bytes(rows) + bytes(4) + bytes(values)
    head = (b'II*\0' if order == '<' else b'MM\0*') + struct.pack(order + 'I', place)
    return head + written if start else written


def _even(value: bytes) -> bytes:
    return value + bytes(len(value) % 2)


def in_byte_order(directory: Directory, order: str, wanted: str) -> Directory:
    """The same values in another byte order."""
    if order == wanted:
        return directory
    return Directory({tag: replace(entry, value=_swapped(entry)) for tag, entry in directory.entries.items()},
                     {tag: in_byte_order(below, order, wanted) for tag, below in directory.below.items()})


def _swapped(entry: Entry) -> bytes:
    unit = UNITS.get(entry.kind)
    if unit is None:
        return entry.value
    return b''.join(entry.value[at:at + unit][::-1] for at in range(0, len(entry.value), unit))


def upright_without_thumbnail(data: bytes) -> bytes:
    """EXIF data that ask for no turn and hold no small picture; all else stays in its place.

    Raises:
        ValueError: the data are damaged.
    """
    order = byte_order(data)
    changed = bytearray(data)
    table = _table(data, order, _number(data, order, 4))
    for tag, kind, count, at in _entries(data, order, table):
        if tag == ORIENTATION and kind == SHORT and count == 1:
            struct.pack_into(order + 'H', changed, at, UPRIGHT)
    if table.following:
        _blank(changed, order, table.following)
        struct.pack_into(order + 'I', changed, table.stop - 4, 0)
    return bytes(changed)


def _blank(changed: bytearray, order: str, place: int) -> None:
    """Take the directory of the small picture out, with the picture; the end of the data is cut where both lie there.

    What is damaged in it is left alone: nothing points there any more.
    """
    data = bytes(changed)
    try:
        table = _table(data, order, place)
        found = {tag: at for tag, _, _, at in _entries(data, order, table)}
        spans = [(table.place, min(table.stop, len(data)))]
        if THUMBNAIL_PLACE in found and THUMBNAIL_BYTES in found:
            start, length = (_number(data, order, found[tag]) for tag in (THUMBNAIL_PLACE, THUMBNAIL_BYTES))
            picture = data[start:start + length]
            if picture[:2] == b'\xff\xd8':  # a wrong place would cost other data
                spans.append((start, start + len(picture)))
    except ValueError:
        return
    for start, stop in sorted(spans, reverse=True):
        if stop == len(changed):
            del changed[start:]
        else:
            changed[start:stop] = bytes(stop - start)


def without_orientation(data: bytes) -> bytes:
    """EXIF data of which no reader makes a turn: for formats that say the turn elsewhere.

    Raises:
        ValueError: the data are damaged.
    """
    order = byte_order(data)
    table = _table(data, order, _number(data, order, 4))
    rows = [data[at:at + 12] for at in range(table.place + 2, table.stop - 4, 12)]
    kept = [row for row in rows if struct.unpack_from(order + 'H', row)[0] != ORIENTATION]
    block = struct.pack(order + 'H', len(kept)) + b''.join(kept) + struct.pack(order + 'I', table.following)
    return data[:table.place] + block.ljust(table.stop - table.place, b'\0') + data[table.stop:]


def text_entry(text: str) -> Entry:
    """A line of text as EXIF stores it; letters beyond ASCII as UTF-8, as most programs do."""
    value = text.encode() + b'\0'
    return Entry(ASCII, len(value), value)


def comment_entry(text: str, order: str) -> Entry:
    """The value of ``UserComment``."""
    value = (b'ASCII\0\0\0' + text.encode() if text.isascii() else
             b'UNICODE\0' + text.encode('utf-16-le' if order == '<' else 'utf-16-be'))
    return Entry(UNDEFINED, len(value), value)


def resolution_entries(dpi: tuple[float, float], order: str) -> dict[int, Entry]:
    """Pixels per inch as tags."""
    across, down = (Entry(RATIONAL, 1, struct.pack(order + 'II', round(one * 1000), 1000)) for one in dpi)
    return {X_RESOLUTION: across, Y_RESOLUTION: down,
            RESOLUTION_UNIT: Entry(SHORT, 1, struct.pack(order + 'H', INCHES))}


def resolution_in(directory: Directory, order: str) -> tuple[float, float] | None:
    """Pixels per inch that tags tell; None: they do not."""
    found = []
    for tag in (X_RESOLUTION, Y_RESOLUTION):
        entry = directory.entries.get(tag)
        if entry is None or entry.kind != RATIONAL or len(entry.value) != 8:
            return None
        above, below = struct.unpack(order + 'II', entry.value)
        if not above or not below:
            return None
        found.append(above / below)
    unit = directory.entries.get(RESOLUTION_UNIT)
    number = INCHES if unit is None or unit.kind != SHORT or not unit.count else struct.unpack_from(
        order + 'H', unit.value)[0]
    if number not in (INCHES, CENTIMETRES):
        return None
    factor = 1 if number == INCHES else 2.54
    return found[0] * factor, found[1] * factor


def clean_xmp(data: bytes, turned: bool) -> bytes:
    """An XMP packet without the small picture and, where the turn that EXIF asks for was made, upright."""
    if turned:
        data = re.sub(rb'(tiff:Orientation(?:="|=\'|>))[2-8]', rb'\g<1>1', data)
    return re.sub(rb'<xmp:Thumbnails>.*?</xmp:Thumbnails>', b'', data, flags=re.DOTALL)


def with_size(data: bytes, width: int, height: int) -> bytes:
    """EXIF data that tell another size of the picture where they tell one; all else stays in its place.

    Raises:
        ValueError: the data are damaged.
    """
    order = byte_order(data)
    sides = {**dict.fromkeys(WIDTHS, width), **dict.fromkeys(HEIGHTS, height)}
    changed = bytearray(data)
    entries = _entries(data, order, _table(data, order, _number(data, order, 4)))
    for tag, kind, count, at in list(entries):
        if (tag, kind, count) == (EXIF_FIELDS, LONG, 1):
            with suppress(ValueError):  # readers leave a damaged directory out, too
                entries += _entries(data, order, _table(data, order, _number(data, order, at)))
    for tag, kind, count, at in entries:
        if tag in sides and count == 1 and (kind == LONG or kind == SHORT and sides[tag] < 2**16):
            struct.pack_into(order + ('I' if kind == LONG else 'H'), changed, at, sides[tag])
    return bytes(changed)
