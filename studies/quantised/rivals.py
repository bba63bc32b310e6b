"""What the quantised rivals reach, and what they cost, beside the student and its twin: ``results.csv`` and a picture.

``python studies/quantised/rivals.py --weights OUT`` scores what ``train.py -o OUT`` brought back, on whole pictures by
the test protocol at sigma 25; those of the student and its twin are in ``tools/results/scores.csv``. ``--draw`` draws
``docs/images/quantised.png`` from what the table has.
"""
from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

sys.path.extend(str(Path(__file__).parents[2] / room) for room in ('tools', 'benchmarks'))
from kit_training import network_of  # before the neuron, since it brings basicsr_snn before basicsr

# isort: split
import yaml
from lsq import LSQ
from matplotlib.figure import Figure
from opponents import ADD_32_BIT_PJ, Cost, counted
from rich.console import Console
from scores import read_table as read_scores

from basicsr_snn import zoo
from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder
from basicsr_snn.bench.measuring import measure
from basicsr_snn.energy.presets import ADD_8_BIT_PJ, MULTIPLY_8_BIT_PJ, integer_mac_pj
from basicsr_snn.spiking.base import register_neuron
from basicsr_snn.spiking.neurons.phase import phase_form
from basicsr_snn.zoo.trained_network import TrainedNetwork, shipped_network

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name('results.csv')
PICTURE = ROOT / 'docs/images/quantised.png'
SETS = 'CBSD68', 'Kodak24', 'Urban100'
STUDENT, TWIN = 'spikerir_fine_color25', 'spikerir_fine_color25_twin'
SHOWN = {STUDENT: 'fine', f'{STUDENT}, phase-coded': 'fine, phase-coded', TWIN: 'twin, floats'}
"""What networks are called in the picture."""
SIGMA, COUNTED = 25, 8


@dataclass(frozen=True)
class Line:
    """One network of the table.

    Attributes:
        name: What it is called.
        cbsd68, kodak24, urban100: PSNR in dB.
        macs, used_macs, acs: Operations a pixel; ``used_macs`` multiply by no zero.
        dense: nJ a pixel in integers of few bits, sums in 32 bits.
        skipping: The same where nothing is done for a zero.
    """

    name: str
    cbsd68: str
    kodak24: str
    urban100: str
    macs: str
    used_macs: str
    acs: str
    dense: str
    skipping: str


def candidates(weights: Path) -> Iterator[tuple[TrainedNetwork, float]]:
    """Networks, each with what one of its integer multiplications costs in pJ."""
    yield shipped_network(STUDENT), MULTIPLY_8_BIT_PJ
    yield shipped_network(TWIN), MULTIPLY_8_BIT_PJ
    for plan in yaml.safe_load(Path(__file__).with_name('trainings.yml').read_text(encoding='utf-8')):
        network = network_of(plan)
        bits, file = network['neuron']['bits'], weights / f'{plan["name"]}.pth'
        yield TrainedNetwork(f'twin, {bits} bits (LSQ)', network, file), integer_mac_pj(bits) - ADD_8_BIT_PJ


def scored(network: TrainedNetwork, multiply_pj: float, data: Path) -> Iterator[Line]:
    """The line of a network, and of a student also that of its phase-coded form, whose pictures are the same."""
    decibels = known_scores(network.name) or [
        f'{measure(network, EvaluationSet(block_of_folder(data / name, SIGMA, 3))).psnr:.3f}' for name in SETS]
    few = EvaluationSet(block_of_folder(data / SETS[0], SIGMA, 3), COUNTED)
    forms = {network.name: network}
    if network.name == STUDENT:
        forms[f'{network.name}, phase-coded'] = TrainedNetwork('', phase_form(network.network), zoo.row(STUDENT).path)
    for name, form in forms.items():
        report = counted(form, few)
        dense, skipping = (Cost('', macs, report.acs_per_px, multiply_pj).integer(ADD_32_BIT_PJ)
                           for macs in (report.macs_per_px, report.effective_macs_per_px))
        yield Line(name, *decibels, f'{report.macs_per_px:.0f}', f'{report.effective_macs_per_px:.0f}',
                   f'{report.acs_per_px:.0f}', f'{dense:.2f}', f'{skipping:.2f}')


def known_scores(network: str) -> list[str]:
    """PSNR of a network that ships, of each set; nothing for another."""
    return [score.psnr for name in SETS for score in read_scores()
            if (score.set, score.sigma, score.name) == (name, SIGMA, network)]


def read_table() -> list[Line]:
    with TABLE.open(newline='') as file:
        return [Line(**line) for line in csv.DictReader(file)]


def draw(lines: list[Line], file: Path) -> None:
    """PSNR on CBSD68 against energy: each network as a line from all operations to those without a zero."""
    figure = Figure(figsize=(7, 4))
    axes = figure.subplots()
    for line in lines:
        spikes, label = line.name.partition(',')[0] == STUDENT, SHOWN.get(line.name, line.name)
        energies, decibels = [float(line.dense), float(line.skipping)], float(line.cbsd68)
        axes.plot(energies, [decibels] * 2, 'o-' if spikes else 's-', color='tab:blue' if spikes else 'tab:orange')
        axes.annotate(label, (min(energies), decibels), xytext=(0, -15 if line.name == TWIN else 7),
                      textcoords='offset points', fontsize=9)
    axes.set(xscale='log', xlabel='nJ a pixel: integers of few bits, sums of 32 bits (left end: zeros skipped)',
             ylabel='PSNR on CBSD68, sigma 25 (dB)')
    axes.set_xticks([3, 4, 5, 7, 10, 14, 20], labels=['3', '4', '5', '7', '10', '14', '20'], minor=False)
    axes.set_xticks([], minor=True)
    axes.margins(y=0.12)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(file, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, default=Path('datasets'))
    parser.add_argument('--weights', type=Path, help='folder that train.py wrote')
    parser.add_argument('--draw', action='store_true')
    args = parser.parse_args()
    register_neuron('LSQ')(LSQ)
    if args.weights:
        console, lines = Console(width=200), []
        for network, multiply_pj in candidates(args.weights):
            for line in scored(network, multiply_pj, args.data):
                lines.append(line)
                console.print(f'| {" | ".join(asdict(line).values())} |', markup=False)
        with TABLE.open('w', newline='') as file:
            writer = csv.DictWriter(file, [one.name for one in fields(Line)], lineterminator='\n')
            writer.writeheader()
            writer.writerows(map(asdict, lines))
    if args.draw:
        draw(read_table(), PICTURE)


if __name__ == '__main__':
    main()
