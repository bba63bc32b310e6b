"""Weight of each method's loss, by short trials on the validation split: ``studies/distillation/search.py``.

The same effort for each method: the weight of :data:`FIRST` times 0.3, 1 and 3, and where 0.3 or 3 is the best of
these, times 0.1 or 10, too; :data:`STEPS` steps from one seed that the comparison does not use.
``search.csv`` keeps all of them; the best goes into the option file by hand.
"""
from __future__ import annotations

import argparse

from compare import HERE, read, train, validation, write

FIRST = {'kdsnn_response': 1.0, 'hkd_pooled': 0.12, 'kdsnn_feature': 1.0, 'lasnn': 0.1, 'bkdsnn': 1.0, 'hybrid': 0.5,
         'tna': 10.0, 'twin_hints': 0.01}
"""Weights to begin with: H-KD's own, else our choice."""
SCALES, BEYOND = (0.3, 1.0, 3.0), {0.3: 0.1, 3.0: 10.0}
STEPS, SEED = 600, 2
COLUMNS = ('method', 'weight', 'seed', 'steps', 'val_psnr')


def trial(method: str, weight: float | None) -> float:
    """Validation PSNR of one trial, measured once."""
    rows, told = read(HERE / 'search.csv'), '' if weight is None else f'{weight:g}'
    for row in rows:
        if (row['method'], row['weight']) == (method, told):
            return float(row['val_psnr'])
    print(f'{method}, weight {told or "none"}', flush=True)
    psnr = validation(method, train(method, SEED, STEPS, weight)).psnr
    rows.append(dict(zip(COLUMNS, (method, told, SEED, STEPS, f'{psnr:.3f}'), strict=True)))
    write(HERE / 'search.csv', COLUMNS, rows)
    return psnr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--methods', nargs='+', choices=FIRST, default=list(FIRST))
    args = parser.parse_args()
    trial('control', None)
    for method in args.methods:
        best = max(SCALES, key=lambda scale, method=method: trial(method, scale * FIRST[method]))
        if best in BEYOND:
            trial(method, BEYOND[best] * FIRST[method])


if __name__ == '__main__':
    main()
