"""BasicSR's own datasets name the picture that they cannot read."""
from __future__ import annotations

from pathlib import Path

import pytest
from basicsr.data import build_dataset

from basicsr_snn.errors import UserError


@pytest.mark.parametrize('content', [b'', b'no picture', None])
def test_a_picture_that_cannot_be_decoded_is_named(work, content):
    broken = Path('pictures/2.png')
    broken.write_bytes(broken.read_bytes()[:100] if content is None else content)
    dataset = build_dataset({'name': 'P', 'type': 'PairedImageDataset', 'phase': 'val', 'scale': 1,
                             'dataroot_gt': 'pictures', 'dataroot_lq': 'pictures', 'io_backend': {'type': 'disk'}})
    assert dataset[1]['gt'].shape[0] == 3
    with pytest.raises(UserError, match=r'pictures/2\.png is no readable picture .* replace or remove it'):
        dataset[2]
