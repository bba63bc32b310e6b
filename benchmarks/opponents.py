"""What a student costs beside its opponents: as digits, its ANN twin, the twin in 6 bits, and both skipping zeros.

``python benchmarks/opponents.py --pairs spikerir_fine_color25=spikerir_fine_color25_twin`` counts operations on
pictures and prints a table. A twin that skips zeros multiplies only where its own input is not 0. The twin in few bits
is computed, not trained: it has the bits of the student's counts and the zeros of the float twin.
"""
from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import torch
from rich.console import Console

from basicsr_snn import zoo
from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder
from basicsr_snn.energy import EnergyReport, OperationCounter
from basicsr_snn.energy.baselines import quantised_bits
from basicsr_snn.energy.presets import ADD_8_BIT_PJ, MULTIPLY_8_BIT_PJ, integer_mac_pj
from basicsr_snn.spiking.neurons.phase import phase_form
from basicsr_snn.zoo.trained_network import TrainedNetwork, shipped_network

ADD_32_BIT_PJ = 0.1
"""Horowitz (ISSCC 2014): a 32-bit integer addition in 45 nm."""
HEADER = ('| network | MACs/px | ACs/px | fp32 | 8 bits, sums in 8 | 8 bits, sums in 32 | fp32 with memory |\n'
          '|---|---:|---:|---:|---:|---:|---:|')


@dataclass(frozen=True)
class Cost:
    """Operations of a pixel, and what one multiplication of them costs in integers.

    Attributes:
        multiply_pj: Of the integer multiplication, without its addition.
        memory: nJ/px with every operand read from memory; None: not counted.
    """

    name: str
    macs: float
    acs: float
    multiply_pj: float = MULTIPLY_8_BIT_PJ
    fp32: float | None = None
    memory: float | None = None

    def integer(self, add_pj: float) -> float:
        """nJ/px."""
        return (self.macs * (self.multiply_pj + add_pj) + self.acs * add_pj) / 1000

    def line(self) -> str:
        cells = [self.name, f'{self.macs:,.0f}', f'{self.acs:,.0f}', number(self.fp32, 1),
                 f'{self.integer(ADD_8_BIT_PJ):.2f}', f'{self.integer(ADD_32_BIT_PJ):.2f}', number(self.memory, 0)]
        return f'| {" | ".join(cells)} |'


def number(value: float | None, digits: int) -> str:
    return '-' if value is None else f'{value:,.{digits}f}'


def counted(network: TrainedNetwork, pictures: EvaluationSet) -> EnergyReport:
    restorer = network.build()
    with torch.inference_mode(), OperationCounter(restorer.net.network) as counter:
        for given, _, sigma in pictures:
            restorer(given, sigma)
    return counter.report()


def costs(name: str, twin: str, pictures: EvaluationSet) -> list[Cost]:
    """A student of counts, and everything that it is compared with."""
    row = zoo.row(name)
    whole = counted(shipped_network(name), pictures)
    phased = counted(TrainedNetwork(f'{name}, phase-coded', phase_form(row.network), row.path), pictures)
    dense = counted(shipped_network(twin), pictures)
    macs, no_zeros, bits = dense.macs_per_px, dense.effective_macs_per_px, quantised_bits(whole)
    few = integer_mac_pj(bits) - ADD_8_BIT_PJ
    return [
        *(Cost(label, report.macs_per_px, report.acs_per_px, fp32=report.energy_nj_px(),
               memory=report.energy_nj_px(memory=True))
          for label, report in ((name, whole), (f'{name}, phase-coded', phased), (twin, dense))),
        Cost('the twin, skipping zeros', no_zeros, 0, fp32=4.6 * no_zeros / 1000),
        Cost(f'the twin in {bits} bits', macs, 0, few),
        Cost(f'the twin in {bits} bits, skipping zeros', no_zeros, 0, few),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--pairs', nargs='+', metavar='STUDENT=TWIN',
                        default=[f'spikerir_{size}_color25=spikerir_{size}_color25_twin' for size in ('small', 'fine')])
    parser.add_argument('-i', type=Path, default=Path('datasets/CBSD68'), help='clean pictures (default: %(default)s)')
    parser.add_argument('--noise', type=int, default=25)
    parser.add_argument('--pictures', type=int, default=8)
    args = parser.parse_args()
    console = Console(width=200)
    console.print(HEADER, markup=False)
    for name, twin in (pair.split('=') for pair in args.pairs):
        pictures = EvaluationSet(block_of_folder(args.i, args.noise, zoo.row(name).network['in_ch']), args.pictures)
        for cost in costs(name, twin, pictures):
            console.print(cost.line(), markup=False)


if __name__ == '__main__':
    main()
