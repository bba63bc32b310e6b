"""Checksums of weight files: a bit that flips on a disk would give other pictures, and nobody would know.

A ``.pth`` is a zip, which has a checksum of each entry; torch does not compare it. The format ``.safetensors`` has
none, so that ours stands in the header.
"""
from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

CHECKSUM = 'checksum'
LENGTH = 8
"""Bytes that tell the length of the header of a ``.safetensors``, which is JSON; the numbers follow it."""

AT_ONCE = 1 << 20
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def safetensors_with_checksum(weights: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """The content of a ``.safetensors``: tensors, what its header says of them, and the checksum of both."""
    from safetensors.torch import save

    found = _checksum_of(save(dict(weights), metadata=dict(about)))
    return save(dict(weights), metadata={**about, CHECKSUM: found})


def safetensors_are_as_written(file: Path, about: Mapping[str, str]) -> bool:
    """Whether a ``.safetensors`` has the checksum that its header tells, or tells none, as those of other programs.

    Args:
        file: Which is read again only if it tells one.
        about: What its header says beside the tensors.
    """
    return CHECKSUM not in about or about[CHECKSUM] == _checksum_of(file.read_bytes())


def zip_is_as_written(file: Path) -> bool:
    """Whether the entries of a ``.pth`` have their checksums, where they have any; of another file, True."""
    if not zipfile.is_zipfile(file):
        return True
    try:
        with zipfile.ZipFile(file) as content:
            for entry in content.infolist():
                if entry.CRC:  # torch can be told to write none
                    with content.open(entry) as stream:
                        while stream.read(AT_ONCE):
                            pass
    except BROKEN_ZIP:
        return False
    return True


def _header_of(content: bytes) -> dict[str, Any]:
    return json.loads(content[LENGTH:_length_of(content)])


def _length_of(content: bytes) -> int:
    return LENGTH + int.from_bytes(content[:LENGTH], 'little')


def _checksum_of(content: bytes) -> str:
    """SHA-256 of the header without its checksum, and of the numbers."""
    header = _header_of(content)
    header.get('__metadata__', {}).pop(CHECKSUM, None)
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    digest.update(memoryview(content)[_length_of(content):])
    return digest.hexdigest()
