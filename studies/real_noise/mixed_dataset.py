"""Several training sets at once, each with its share of the crops."""
from __future__ import annotations

from typing import Any

import torch
from basicsr.data import build_dataset
from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils.data import Dataset

from basicsr_snn.data.draws import Draw, seeded_by
from basicsr_snn.errors import UserError


@DATASET_REGISTRY.register()
class MixedDataset(Dataset):
    """Items of several datasets, one drawn anew for each item by its share.

    Args:
        opt: the options of the dataset:

            - ``sets``: a list of dataset blocks, each with ``type`` and what it needs, and ``share``, the weight with
              which its pictures are drawn; default 1. What all have in common, such as ``gt_size``, may stand beside
              ``sets``.

    Its length is that of all sets together. Which set an item comes from, and what is drawn in it, follow from the
    item's own seed, so that a resume changes no sample.

    Raises:
        UserError: no sets, a share below 0, outside training.

    .. code-block:: yaml

        train:
          name: photographs
          type: MixedDataset
          gt_size: 64
          sets:
            - {type: GaussianDenoisingDataset, dataroot_gt: datasets/BSD432, sigma: 25, share: 1}
            - {type: GaussianDenoisingDataset, dataroot_gt: datasets/IN797, sigma: 25, share: 2}
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__()
        self.opt = opt
        name, blocks = opt.get('name', 'MixedDataset'), opt.get('sets')
        if opt.get('phase') != 'train':
            raise UserError(f'{name}: MixedDataset is for training; write a validation dataset for each set.')
        if not isinstance(blocks, list) or not blocks:
            raise UserError(f'{name}: `sets` is missing: write a list of dataset blocks, each with its `type`.')
        common = {key: value for key, value in opt.items() if key not in ('sets', 'type', 'name')}
        self.shares = torch.tensor([float(block.get('share', 1)) for block in blocks], dtype=torch.float64)
        if self.shares.min() < 0 or not self.shares.sum() > 0:
            raise UserError(f'{name}: shares {self.shares.tolist()} were given: write shares of 0 or more, one of them '
                            'above 0.')
        self.sets = [build_dataset({**common, 'name': f'{name}[{place}]',
                                    **{key: value for key, value in block.items() if key != 'share'}})
                     for place, block in enumerate(blocks)]

    def __len__(self) -> int:
        return sum(map(len, self.sets))

    def __getitem__(self, index: int) -> dict[str, Any]:
        with seeded_by(index):
            chosen = self.sets[int(torch.multinomial(self.shares, 1))]
            draw = Draw(int(torch.randint(len(chosen), ())), int(torch.randint(2**32, ())))
        return chosen[draw]
