"""Rows kept from earlier runs, found again by what they depend on."""
from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from basicsr_snn.bench.candidates import Candidate
from basicsr_snn.bench.row import Row
from basicsr_snn.plugins.installed import import_plugins
from basicsr_snn.plugins.own_modules import imported_modules
from basicsr_snn.version import __version__

WITHOUT_EFFECT = ('cli', 'distill', 'losses', 'models')
"""Parts of the package that no row depends on."""


class RowCache:
    """A folder with one JSON file for each row.

    The file's name is a checksum of the network's options and weights, of the pictures, of this package's version and
    sources, and of torch, device and threads; anything that changes makes a new row. Rows of failures are not kept.

    Args:
        folder: Where the files are, made when the first row is kept; None: keep nothing, find nothing.
        pictures: :meth:`EvaluationSet.fingerprint` of the pictures.
    """

    def __init__(self, folder: Path | None, pictures: str) -> None:
        self._folder = folder
        self._pictures = pictures

    def find(self, candidate: Candidate) -> Row | None:
        """The row of an equal candidate on equal pictures, under the name that the candidate has now."""
        file = self._file(candidate)
        if file is None or not file.is_file():
            return None
        try:
            row = Row(**json.loads(file.read_text(encoding='utf-8')))
        except (ValueError, TypeError):  # half written, or of another form: measure again
            return None
        return replace(row, name=candidate.name)

    def keep(self, candidate: Candidate, row: Row) -> None:
        """Write a row down."""
        file = self._file(candidate)
        if file is not None and not row.error:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(asdict(row)), encoding='utf-8')

    def _file(self, candidate: Candidate) -> Path | None:
        if self._folder is None:
            return None
        content = {'candidate': candidate.fingerprint(), 'pictures': self._pictures, 'with': environment()}
        text = json.dumps(content, sort_keys=True, default=str)
        return self._folder / f'{hashlib.sha256(text.encode()).hexdigest()}.json'


def environment() -> dict[str, Any]:
    """What all rows of a run depend on: package, torch, device, threads."""
    cuda = torch.cuda.is_available()
    return {'basicsr_snn': __version__, 'sources': sources_digest(), 'torch': torch.__version__,
            'own_modules': _own_modules_digest(),
            'device': torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine(),
            'threads': torch.get_num_threads()}


def _own_modules_digest() -> str:
    """Checksum of the user's own modules that option files have named, and the names and versions of plugins."""
    digest = hashlib.sha256(repr(import_plugins()).encode())
    for module in imported_modules():
        digest.update(Path(module.file).read_bytes() if module.file else module.name.encode())
    return digest.hexdigest()


@cache
def sources_digest() -> str:
    """Checksum of the modules that a row depends on, so that a changed counting rule cannot answer with an old row."""
    digest, package = hashlib.sha256(), Path(__file__).parent.parent
    for file in sorted(package.rglob('*.py')):
        if file.relative_to(package).parts[0] not in WITHOUT_EFFECT:
            digest.update(file.read_bytes())
    return digest.hexdigest()
