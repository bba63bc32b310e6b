"""A spiking network of your own, trained by BasicSR: ``python examples/own_architecture.py``.

Run it from the repository's root. It needs no file in the package: a registered class has a name that option files can
give.
"""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Self

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import yaml
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from basicsr_snn.inference.contract import Restorer
from basicsr_snn.pipeline.run import run_training
from basicsr_snn.spiking.blocks import SpikingBlock, SpikingConv, fold_spiking_convs
from basicsr_snn.spiking.neurons import reset_to_rest

NEURON = {'type': 'SignedILIF', 'D': 8}


@ARCH_REGISTRY.register()
class PlainStudent(Restorer):
    """Residual blocks at full resolution: every convolution but the first reads spikes.

    .. code-block:: yaml

        network_g: {type: PlainStudent, width: 12, depth: 3}
    """

    def __init__(self, in_ch: int = 3, width: int = 12, depth: int = 3) -> None:
        super().__init__()
        self.in_ch, self.receptive_field = in_ch, 2 * depth + 2    # one pixel for each 3x3 convolution
        self.stem = nn.Conv2d(in_ch, width, 3, padding=1)
        self.blocks = nn.Sequential(*[SpikingBlock(width, NEURON, {**NEURON, 'lowest': 0}) for _ in range(depth)])
        self.head = SpikingConv(width, in_ch, 3, NEURON, gain=0.1)

    def forward(self, picture: Tensor) -> Tensor:
        reset_to_rest(self)
        potentials = self.stem(picture)[None]    # (T, N, C, H, W) with one time step
        return picture + self.head(self.blocks(potentials))[0]

    def fold(self) -> Self:
        fold_spiking_convs(self.eval())
        return self


def main(steps: int = 500) -> None:
    options = yaml.safe_load(Path('options/train/demo.yml').read_text(encoding='utf-8'))
    del options['distill']    # no teacher
    options.update(name='own_architecture', model_type='SNNModel', network_g={'type': 'PlainStudent', 'width': 12})
    options['train'].update(total_iter=steps, scheduler={**options['train']['scheduler'], 'periods': [steps]})
    options['val']['val_freq'] = steps
    file = Path('experiments/own_architecture.yml')
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(options, sort_keys=False), encoding='utf-8')
    run_training(['-opt', str(file)])    # PSNR, firing rate, operations and energy are in its log


if __name__ == '__main__':
    main(*map(int, sys.argv[1:]))
