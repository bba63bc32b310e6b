"""Where the pictures of a dataset come from: a folder of files, or an lmdb as BasicSR writes it."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from basicsr.utils import FileClient, get_root_logger

from basicsr_snn.errors import UserError
from basicsr_snn.images.files import picture_size, read_bytes
from basicsr_snn.images.listing import find_pictures
from basicsr_snn.images.reading import decode, read_header

META_INFO = 'meta_info.txt'
META_LINE = re.compile(r'(?P<key>.+)\.png \((?P<height>\d+), ?(?P<width>\d+), ?(?P<channels>\d+)\)')


class PictureSource(Protocol):
    """A fixed, sorted list of pictures.

    Attributes:
        names: what errors, logs and saved results call each picture: its path, or its key in an lmdb.
    """

    names: list[str]

    def size(self, index: int) -> tuple[int, int]:
        """Height and width without decoding."""

    def may_be_grey(self, index: int) -> bool:
        """Whether the picture has no colour, as far as its file says without decoding."""

    def read(self, index: int) -> np.ndarray:
        """The decoded picture, (H, W, 1 or 3) uint8 or uint16, RGB or grey; alpha is left out."""


class FolderSource:
    """The picture files of a folder, in sorted order; the log names what is left out."""

    def __init__(self, folder: Path, recursive: bool = False) -> None:
        listing = find_pictures(folder, recursive)
        left_out = listing.what_is_left_out()
        if left_out:
            get_root_logger().warning(left_out)
        self.paths = listing.pictures
        self.names = [str(path) for path in self.paths]

    def size(self, index: int) -> tuple[int, int]:
        return picture_size(self.paths[index])

    def may_be_grey(self, index: int) -> bool:
        with self.paths[index].open('rb') as file:
            return read_header(file, self.paths[index]).grey

    def read(self, index: int) -> np.ndarray:
        path = self.paths[index]
        return decode(read_bytes(path), path)[0]


class LmdbSource:
    """The pictures of an lmdb that BasicSR's tools or ``basicsr-snn prepare`` wrote, in the order of their keys.

    Nothing is opened before the first read, which is in the worker where there are workers; ``compat`` sees to it that
    a fork and several datasets on one lmdb get along.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names, self._sizes, self._channels = _read_meta_info(folder)
        self._client: FileClient | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_client': None}  # an open environment cannot be sent to a spawned worker

    def size(self, index: int) -> tuple[int, int]:
        return self._sizes[index]

    def may_be_grey(self, index: int) -> bool:
        return self._channels[index] == 1

    def read(self, index: int) -> np.ndarray:
        key = self.names[index]
        content = self._content(key)
        if content is None:
            raise UserError(f'{self.folder} holds no picture {key!r} though its {META_INFO} lists it: make the lmdb '
                            f'anew with `{_recipe(self.folder)}`.')
        pixels = decode(content, f'{key} of {self.folder}')[0]
        if pixels.shape[:2] != self._sizes[index]:
            listed, found = ('x'.join(map(str, size[::-1])) for size in (self._sizes[index], pixels.shape[:2]))
            raise UserError(f'{key} of {self.folder} has {found} pixels where its {META_INFO} says {listed}: make the '
                            f'lmdb anew with `{_recipe(self.folder)}`.')
        return pixels

    def _content(self, key: str) -> bytes | None:
        if self._client is None:
            self._client = FileClient('lmdb', db_paths=str(self.folder))
        return self._client.get(key)


def open_source(root: Path, recursive: bool = False) -> PictureSource:
    """The source behind a path: an lmdb where it ends in .lmdb, otherwise a folder.

    Raises:
        UserError: it is missing, empty, or an lmdb without its list of pictures.
    """
    return LmdbSource(root) if root.suffix == '.lmdb' else FolderSource(root, recursive)


def _recipe(folder: Path) -> str:
    return f'basicsr-snn prepare -i PICTURES -o {folder} --lmdb'


def _read_meta_info(folder: Path) -> tuple[list[str], list[tuple[int, int]], list[int]]:
    """Keys, sizes and channels of the pictures of an lmdb, in the order of the keys."""
    if not folder.is_dir():
        raise UserError(f'the lmdb {folder} does not exist (seen from {Path.cwd()}): make it with `{_recipe(folder)}`.')
    meta_info = folder / META_INFO
    if not meta_info.is_file():
        raise UserError(f'{folder} has no {META_INFO}, which lists the pictures of an lmdb: make it with '
                        f'`{_recipe(folder)}`.')
    entries = []
    for number, line in enumerate(meta_info.read_text(encoding='utf-8').splitlines(), start=1):
        match = META_LINE.match(line)
        if match is None:
            raise UserError(f'line {number} of {meta_info} is {line!r}: `name.png (height,width,channels) level` is '
                            f'expected; make the lmdb anew with `{_recipe(folder)}`.')
        entries.append((match['key'], (int(match['height']), int(match['width'])), int(match['channels'])))
    if not entries:
        raise UserError(f'{meta_info} lists no pictures: make the lmdb anew with `{_recipe(folder)}`.')
    entries.sort()
    keys, sizes, channels = zip(*entries, strict=True)
    return list(keys), list(sizes), list(channels)
