"""Rows as CSV, JSON, Markdown, and as a table for the screen."""
from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from basicsr_snn.bench.row import COLUMNS, Row
from basicsr_snn.bench.row_cache import environment

SIGNIFICANT = 6


def csv_text(rows: Sequence[Row], pictures: str) -> str:
    """CSV with the header :data:`COLUMNS`: true and false, six significant digits, empty where there is no figure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    writer.writerows([_plain(getattr(row, column)) for column in COLUMNS] for row in rows)
    return text.getvalue()


def _plain(value: Any) -> str:
    if value is None:
        return ''
    if isinstance(value, bool):
        return str(value).lower()
    return f'{value:.{SIGNIFICANT}g}' if isinstance(value, float) else str(value)


def json_text(rows: Sequence[Row], pictures: str) -> str:
    """All rows with their details, and what they were measured on and with."""
    finite = [{key: None if isinstance(value, float) and not math.isfinite(value) else value
               for key, value in asdict(row).items()} for row in rows]
    return json.dumps({'pictures': pictures, 'protocol': PROTOCOL, 'measured_with': environment(), 'rows': finite},
                      indent=2, allow_nan=False)


PROTOCOL = ('PSNR and SSIM by BasicSR on 8-bit pictures, no border cut off (of enlarged ones: of the luminance, '
            'without as many pixels at each side as the factor), mean over pictures; operations counted on all '
            'pictures, for each pixel that the network reads, energy arithmetic only unless said otherwise; s/Mpx: '
            'median of 3 runs on the first picture; '
            'peak MB: tensors alive at once on it, without parameters')


def _number(digits: int) -> Callable[[Any], str]:
    return lambda value: '-' if value is None else f'{value:,.{digits}f}'


def _yes_no(value: bool | None) -> str:
    return '-' if value is None else 'yes' if value else 'no'


MAIN: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ('PSNR', 'psnr', _number(2)), ('SSIM', 'ssim', _number(4)), ('params', 'params', _number(0)),
    ('T', 'T', _number(0)), ('D', 'D', _number(0)), ('MACs/px', 'macs_per_px', _number(0)),
    ('ACs/px', 'acs_per_px', _number(0)), ('spikes', 'firing_rate', _number(3)),
    ('nJ/px fp32', 'energy_nj_px_fp32', _number(1)), ('int8', 'energy_nj_px_int8', _number(2)),
    ('neurom.', 'energy_nj_px_neuromorphic', _number(1)), ('s/Mpx', 's_per_mpx', _number(2)),
    ('peak MB', 'peak_mb', _number(0)),
)
BASELINES: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ('ANN twin, nJ/px fp32', 'twin_nj_px_fp32', _number(1)), ('bits', 'quantised_bits', _number(0)),
    ('quantised twin, nJ/px int8', 'quantised_nj_px_int8', _number(2)),
    ('spiking share', 'spiking_share_fp32', _number(3)),
    ('break-even rate', 'break_even_rate_fp32', _number(2)),
    ('against quantised', 'break_even_rate_quantised', _number(2)),
    ('with memory: this', 'energy_nj_px_fp32_memory', _number(0)),
    ('ANN twin', 'twin_nj_px_fp32_memory', _number(0)),
    ('break-even', 'break_even_rate_fp32_memory', _number(2)),
)


def markdown(rows: Sequence[Row], pictures: str) -> str:
    """The table, beside each spiking network its baselines, and what failed or was not counted."""
    parts = [f'On {pictures}. {PROTOCOL}.', _main_table(rows)]
    spiking = [row for row in rows if 'twin_nj_px_fp32' in row.details]
    if spiking:
        parts += ['Beside the spiking networks, the same layers as an ANN, and quantised to as many bits as the spikes '
                  'tell levels apart. Rates are unit spikes for each neuron and step.', _baseline_table(spiking)]
    failed = [f'- {row.name} failed: {row.error}' for row in rows if row.error]
    warned = [f'- {row.name}: {warning}' for row in rows for warning in row.details.get('warnings', [])]
    parts += ['\n'.join(lines) for lines in (failed, warned) if lines]
    return '\n\n'.join(parts) + '\n'


def _main_table(rows: Sequence[Row]) -> str:
    header = ['network', 'arch', 'spiking', *(title for title, _, _ in MAIN)]
    body = [[row.name, row.arch, _yes_no(row.spiking),
             *(show(getattr(row, key)) for _, key, show in MAIN)] for row in rows]
    return _table(header, body, left=3)


def _baseline_table(rows: Sequence[Row]) -> str:
    header = ['network', 'spikes', 'nJ/px fp32', 'int8', *(title for title, _, _ in BASELINES)]
    body = [[row.name, _number(3)(row.firing_rate), _number(1)(row.energy_nj_px_fp32),
             _number(2)(row.energy_nj_px_int8), *(show(row.details.get(key)) for _, key, show in BASELINES)]
            for row in rows]
    return _table(header, body, left=1)


def _table(header: Sequence[str], body: Sequence[Sequence[str]], left: int) -> str:
    rule = ['---'] * left + ['---:'] * (len(header) - left)
    return '\n'.join(f'| {" | ".join(cell.replace("|", "/") for cell in line)} |' for line in (header, rule, *body))


def console_table(rows: Sequence[Row], pictures: str) -> Table:
    """The main table for the screen."""
    table = Table(title=pictures, box=box.SIMPLE)
    table.add_column('network')
    table.add_column('spiking')
    for title, _, _ in MAIN:
        table.add_column(title, justify='right')
    for row in rows:
        table.add_row(escape(row.name), _yes_no(row.spiking),
                      *(show(getattr(row, key)) for _, key, show in MAIN))
    table.caption = 'energy: arithmetic only; what it leaves out: docs/explanation/energy.md'
    return table
