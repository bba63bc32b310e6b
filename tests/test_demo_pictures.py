"""The bundled photographs: they fit the dataset, and every one has its licence."""
from __future__ import annotations

from pathlib import Path

from basicsr.data import build_dataset

DEMO = Path(__file__).resolve().parent.parent / 'datasets' / 'demo'


def test_demo_pictures_fit_the_dataset_and_have_licences():
    options = {'type': 'GaussianDenoisingDataset', 'sigma': 25}
    train = build_dataset({**options, 'name': 'train', 'phase': 'train', 'dataroot_gt': DEMO / 'train', 'gt_size': 64})
    val = build_dataset({**options, 'name': 'val', 'phase': 'val', 'dataroot_gt': DEMO / 'val'})
    assert (len(train), len(val)) == (8, 2)
    licences = (DEMO / 'LICENSES.md').read_text(encoding='utf-8')
    for name in (*train.source.names, *val.source.names):
        assert f'`{Path(name).relative_to(DEMO).as_posix()}`' in licences
