"""A row of the table of the other tasks, and the table."""
from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
from basicsr_snn import zoo
from basicsr_snn.bench.measuring import INPUT

TABLE = Path(__file__).with_name('results') / 'tasks.csv'
PROTOCOLS = ('sr2', 'sr4', 'derain', 'jpeg', 'jpeg_gray', 'deblur')
"""Names of the option files in ``options/test/SpikerIR`` whose sets and metrics are taken."""


@dataclass(frozen=True)
class TaskScore:
    """One network, or what it is given, on one set: means over ``pictures``; costs a pixel that is read.

    Attributes:
        protocol: Name of the option file whose sets and metrics these are.
        psnr_y, ssim_y: Of the luminance, where the protocol has both.
    """

    protocol: str
    set: str
    name: str
    weights: str
    pictures: int
    psnr: str
    ssim: str
    psnr_y: str = ''
    ssim_y: str = ''
    params: str = ''
    macs_per_px: str = ''
    acs_per_px: str = ''
    nj_per_px: str = ''

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.protocol, self.set, self.name, self.weights


def read_table() -> list[TaskScore]:
    """The rows but those of weights that no longer ship."""
    if not TABLE.exists():
        return []
    shipped = {row.name: row.sha256[:8] for row in zoo.rows()}
    with TABLE.open(newline='', encoding='utf-8') as file:
        found = [TaskScore(**{**line, 'pictures': int(line['pictures'])}) for line in csv.DictReader(file)]
    return [one for one in found if one.name == INPUT or shipped.get(one.name) == one.weights]


def write_table(scores: list[TaskScore]) -> None:
    with TABLE.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, [one.name for one in fields(TaskScore)], lineterminator='\n')
        writer.writeheader()
        writer.writerows(asdict(score) for score in sorted(
            scores, key=lambda one: (PROTOCOLS.index(one.protocol), one.set, one.name != INPUT, one.name)))
