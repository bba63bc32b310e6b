"""Start weights of a binary network of T steps from a trained one of unsigned counts 0..T in one step.

``python studies/design/binary_start.py IN.pth OUT.pth --steps 4``. A neuron without leak that may fire once a step
emits over T steps of the same input x as many spikes as round(x / theta) counts, if its threshold is T * theta; and its
mean current is the same. So thresholds are multiplied by T, and weights stay.
"""
from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', type=Path)
    parser.add_argument('target', type=Path)
    parser.add_argument('--steps', type=int, default=4)
    parser.add_argument('--entry', default='params_ema', help='of the source (default: %(default)s)')
    args = parser.parse_args()
    weights = torch.load(args.source, weights_only=True)[args.entry]
    for name, tensor in weights.items():
        if name.endswith('log_threshold'):
            weights[name] = tensor + math.log(args.steps)
    torch.save({'params': weights}, args.target)


if __name__ == '__main__':
    main()
