"""Weight of each method's loss, by short trials on the validation split: ``benchmarks/distillation/search.py``.

The same effort for each method: the weight of its option file times 0.3, 1 and 3, for :data:`STEPS` steps from one seed
that the comparison does not use. ``search.csv`` keeps all of them; the best goes into the option file by hand.
"""
from __future__ import annotations

import argparse

from compare import HERE, read, train, validation, write

METHODS = ('kdsnn_response', 'hkd', 'kdsnn_feature', 'lasnn', 'bkdsnn', 'hybrid', 'tna')
SCALES, STEPS, SEED = (0.3, 1.0, 3.0), 600, 2
COLUMNS = ('method', 'scale', 'seed', 'steps', 'val_psnr')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=METHODS)
    args = parser.parse_args()
    trials = [('control', 1.0), *((method, scale) for method in args.methods for scale in SCALES)]
    for method, scale in trials:
        rows = read(HERE / 'search.csv')
        if any((row['method'], row['scale']) == (method, f'{scale:g}') for row in rows):
            continue
        print(f'{method}, weight times {scale:g}', flush=True)
        psnr = validation(method, train(method, SEED, STEPS, scale)).psnr
        rows.append(dict(zip(COLUMNS, (method, f'{scale:g}', SEED, STEPS, f'{psnr:.3f}'), strict=True)))
        write(HERE / 'search.csv', COLUMNS, rows)


if __name__ == '__main__':
    main()
