"""Train the twin of ``fine`` with activations of 4, 5 and 6 bits, the quantised rivals of the spiking student.

``python studies/quantised/train.py --minutes 9 --data datasets/BSD432:32 datasets/IN797:40 -o OUT`` takes the arguments
of ``tools/gpu_kit.py`` and does what it does, for the networks of ``trainings.yml`` beside this file.
"""
from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / 'tools'))
import gpu_kit  # before the neuron, since it brings basicsr_snn before basicsr

# isort: split
from lsq import LSQ

from basicsr_snn.spiking.base import register_neuron

if __name__ == '__main__':
    register_neuron('LSQ')(LSQ)
    gpu_kit.main(Path(__file__).with_name('trainings.yml'))
