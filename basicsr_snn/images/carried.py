"""What a picture file carries beside its pixels, made ready to be written beside restored ones."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

from basicsr_snn.images import exif
from basicsr_snn.images.chunks import LONGEST_CHUNK
from basicsr_snn.images.exif import Directory

LONGEST = LONGEST_CHUNK
"""Bytes of any one thing that is carried: more may be a bomb."""

SHARPEST_DPI = 1_000_000

EXIF_OF_TEXT = {'Description': 270, 'Software': 305, 'Author': 315, 'Copyright': 33432}
"""Tags that mean the same as the keys that the standard of PNG proposes."""

USER_COMMENT = 37510


@dataclass(frozen=True)
class JpegTables:
    """How a JPEG file was compressed: its tables of quantisation and Pillow's number of the subsampling of colours."""

    tables: tuple[tuple[int, ...], ...]
    subsampling: int


@dataclass(frozen=True)
class Carried:
    """What a picture carries beside its pixels.

    Attributes:
        exif: Upright and without thumbnail, beginning with the byte order.
        icc_profile: Colour profile, in whose space the pixels are.
        xmp: XMP packet.
        iptc: IPTC records, as agencies and archives write them.
        dpi: Pixels per inch, across and down.
        text: Key and value of each text of a PNG; ``Comment`` is also the comment of a JPEG.
        png_colour: Name and content of the chunks by which a PNG without a profile tells its colours.
        jpeg: How it was compressed, if it is a JPEG.
        left_out: What could not be kept, for the middle of a sentence.
    """

    exif: bytes = b''
    icc_profile: bytes = b''
    xmp: bytes = b''
    iptc: bytes = b''
    dpi: tuple[float, float] | None = None
    text: tuple[tuple[str, str], ...] = ()
    png_colour: tuple[tuple[bytes, bytes], ...] = ()
    jpeg: JpegTables | None = None
    left_out: tuple[str, ...] = ()

    def without(self, reason: str, **empty: object) -> Self:
        """The same without one thing, which is told."""
        return replace(self, left_out=(*self.left_out, reason), **empty)  # type: ignore[arg-type]  # fields by name

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write beside the pixels."""
        return not (self.exif or self.icc_profile or self.xmp or self.iptc or self.dpi or self.text
                    or self.png_colour)


@dataclass
class Collector:
    """Takes one thing after the other out of a file; what is damaged or too large is noted, and costs nothing else."""

    found: Carried = field(default_factory=Carried)

    def take(self, name: str, what: str, read: Callable[[], object]) -> None:
        """Set the field ``name`` to what ``read`` gives, or note that ``what`` is left out; None is nothing."""
        try:
            value = read()
        except Exception as error:  # readers of damaged files raise what they like
            reason = str(error) if isinstance(error, TooMuchError) else 'damaged'
            self.found = self.found.without(f'{what} ({reason})')
            return
        if value:
            self.found = replace(self.found, **{name: value})  # type: ignore[arg-type]  # fields by name

    def note(self, what: str) -> None:
        """Say that something is left out."""
        self.found = self.found.without(what)


class TooMuchError(ValueError):
    """More bytes than are carried."""


def bounded(content: bytes | None) -> bytes:
    """The content itself, or nothing.

    Raises:
        TooMuchError: it is longer than is carried.
    """
    if content and len(content) >= LONGEST:  # of which no more is read
        raise TooMuchError(f'more than {LONGEST // 2**20} MiB')
    return content or b''


def clean_exif(data: bytes | None) -> bytes:
    """EXIF data to be carried: no turn, no thumbnail.

    Raises:
        ValueError: they are damaged, or too long.
    """
    data = bounded(data).removeprefix(exif.MARK)
    if not data:
        return b''
    exif.read_directories(data)
    return exif.upright_without_thumbnail(data)


def clean_dpi(dpi: object) -> tuple[float, float] | None:
    """Pixels per inch that mean something, or None."""
    if not isinstance(dpi, tuple) or len(dpi) != 2:
        return None
    across, down = (float(one) for one in dpi)
    sensible = all(1 < one < SHARPEST_DPI for one in (across, down))  # a JPEG without it says 1 of no unit
    return (across, down) if sensible else None


def told_by_exif(carried: Carried) -> Carried:
    """The same with text and resolution inside the EXIF data, for formats that have no other place for them."""
    if not (carried.text or carried.dpi):
        return carried
    order = exif.byte_order(carried.exif) if carried.exif else '<'
    main = exif.read_directories(carried.exif) if carried.exif else Directory()
    before = dict(main.entries)
    if carried.dpi and _differ(exif.resolution_in(main, order), carried.dpi):
        main.entries.update(exif.resolution_entries(carried.dpi, order))
    lost, rest = False, []
    for key, value in carried.text:
        tag = EXIF_OF_TEXT.get(key)
        if tag is not None and tag not in main.entries:
            main.entries[tag] = exif.text_entry(value)
        else:
            rest.append(f'{key}: {value}')
    if rest:
        details = main.below.setdefault(exif.EXIF_FIELDS, Directory())
        lost = USER_COMMENT in details.entries
        details.entries.setdefault(USER_COMMENT, exif.comment_entry('\n'.join(rest), order))
    if rest and not lost or main.entries != before:
        carried = replace(carried, exif=exif.write_directories(main, order))
    carried = replace(carried, text=())
    return carried.without('text whose place in EXIF is taken') if lost else carried


def _differ(one: tuple[float, float] | None, other: tuple[float, float]) -> bool:
    return one is None or any(abs(a - b) > 0.01 * b for a, b in zip(one, other, strict=True))


def exif_dpi(data: bytes) -> tuple[float, float] | None:
    """Pixels per inch that EXIF data tell."""
    if not data:
        return None
    return clean_dpi(exif.resolution_in(exif.read_directories(data), exif.byte_order(data)))


def of_size(carried: Carried, width: int, height: int) -> Carried:
    """The same for a picture of another size, which the EXIF data then tell."""
    return replace(carried, exif=exif.with_size(carried.exif, width, height)) if carried.exif else carried
