"""Write the 8-bit form of every shipped network that has one: ``python tools/write_int8.py [NAME ...]``.

The files lie beside the weights, so that no user waits for an export. Run it after a network is shipped or its weights
change; a test compares what each file says of its weights with the row.
"""
from __future__ import annotations

import argparse

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
from basicsr_snn import zoo
from basicsr_snn.exporting import export
from basicsr_snn.inference.contract import as_restorer
from basicsr_snn.spiking.int8 import has_int8_form
from basicsr_snn.zoo.shipped import Row, int8_file_of
from basicsr_snn.zoo.trained_network import shipped_network


def can_ship(row: Row) -> bool:
    """Whether a network has an 8-bit form that stands for it whole: one that is told a noise level has none."""
    net = zoo.build(row.network)
    return has_int8_form(net) and not as_restorer(net).takes_sigma


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('names', nargs='*', metavar='NAME', help='shipped networks (default: all)')
    for row in [zoo.row(name) for name in parser.parse_args().names] or zoo.rows():
        file = int8_file_of(row.name)
        if not can_ship(row):
            print(f'{row.name} has no 8-bit form')
            continue
        trained = shipped_network(row.name)
        about = {**trained.known_card().header(), 'weights_sha256': row.sha256}
        finding = export(trained.loaded(), trained.network, 'onnx', file, about=about, int8=True)
        print(f'{file.name} ({file.stat().st_size / 1000:,.0f} kB): {finding}')


if __name__ == '__main__':
    main()
