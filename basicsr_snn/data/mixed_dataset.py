"""Several training sets at once, each with its share of the crops."""
from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from basicsr.data import build_dataset
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_snn.data.draws import Draw, DrawnDataset, follow_draws, seeded_by
from basicsr_snn.data.picture_pairs import PictureDataset
from basicsr_snn.errors import UserError, near_matches

FOR_ALL = ('gt_size', 'in_ch')
"""Keys that stand beside ``sets`` only: crops of one batch have one shape."""
PASSED_ON = (*FOR_ALL, 'use_hflip', 'use_rot', 'io_backend', 'phase', 'scale')
"""Keys beside ``sets`` that each set gets, if its own block does not have them."""
OF_AN_ITEM = ('lq', 'gt', 'lq_path', 'gt_path')


def each_set(place: str, block: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The block of a data set, after its place, and of a :class:`MixedDataset` those of its sets, with what stands
    beside them."""
    yield place, block
    sets = block.get('sets') if block.get('type') == MixedDataset.__name__ else None
    beside = {key: block[key] for key in PASSED_ON if key in block}
    for number, one in enumerate(sets if isinstance(sets, list) else ()):
        if isinstance(one, Mapping):
            yield from each_set(f'{place}: sets: {number}', {**beside, **one})


@DATASET_REGISTRY.register()
class MixedDataset(DrawnDataset):
    """Items of several training sets, for each item one of the sets, drawn by its share.

    Args:
        opt: the options of the dataset:

            - ``sets``: a list of dataset blocks, BasicSR's own and others too, each with its ``type`` and what it
              needs, and ``share``, how often it is drawn in proportion to the others; default 1.
            - ``gt_size``: required, side of the square crop, for all sets.
            - ``in_ch``: for all sets; default 3.
            - ``use_hflip``, ``use_rot``: for all sets whose own blocks do not say otherwise.
            - ``on_device``: crops are drawn where the network trains, of sets of :class:`GaussianDenoisingDataset`.

    Its length, and so an epoch, is that of all sets together, but pictures are drawn anew each time: a set of few
    pictures and a large share shows them often. Which set and picture an item shows and what is drawn for it follow
    from the item's own seed: workers, processes and a resume change no sample.

    An item holds ``lq``, ``gt``, ``lq_path`` and ``gt_path``, and ``sigma`` and ``corner`` if all sets are datasets
    of ours. Where a set has no truth (:class:`~basicsr_snn.data.noisy_pictures_dataset.NoisyPicturesDataset`), it also
    holds ``has_truth``, by which losses leave out the items that have none; ``gt`` of these is NaN.

    Raises:
        UserError: no sets, a share below 0, outside training, and what a set refuses.

    .. code-block:: yaml

        train:
          name: photographs
          type: MixedDataset
          gt_size: 64
          sets:
            - {type: CameraNoiseDataset, dataroot_gt: datasets/BSD432, share: 2}
            - {type: RealPairsDataset, dataroot_gt: datasets/PolyU, share: 1}
    """

    has_truth: bool
    """Whether all sets have clean pictures."""

    def __init__(self, opt: dict[str, Any]) -> None:
        super().__init__()
        self.opt = opt
        self.name = str(opt.get('name', 'MixedDataset'))
        blocks = opt.get('sets')
        if opt.get('phase') != 'train':
            raise UserError(f'{self.name}: MixedDataset is for training; write a validation dataset for each set.')
        if not isinstance(blocks, list) or not blocks:
            raise UserError(f'{self.name}: `sets: {blocks}` given, a list of dataset blocks is allowed, each with its '
                            '`type`: write `sets: [{type: CameraNoiseDataset, dataroot_gt: datasets/BSD432}]`.')
        shares = [self._share(place, block) for place, block in enumerate(blocks)]
        if not sum(shares) > 0:
            raise UserError(f'{self.name}: no set has a share above 0: write `share: 1` in one.')
        self.shares = torch.tensor(shares, dtype=torch.float64)
        self.sets = [self._build(place, block) for place, block in enumerate(blocks)]
        alike = all(isinstance(dataset, PictureDataset) for dataset in self.sets)
        self.has_truth = all(dataset.has_truth for dataset in self.sets
                             if isinstance(dataset, PictureDataset | MixedDataset))
        self.keys = (*OF_AN_ITEM, *(('sigma', 'corner') if alike else ()), *(() if self.has_truth else ('has_truth',)))

    def __len__(self) -> int:
        return sum(map(len, self.sets))

    def __getitem__(self, index: int) -> dict[str, Any]:
        range(len(self))[index]  # refuses an index beyond the end
        with seeded_by(index):
            place = int(torch.multinomial(self.shares, 1))
            chosen = self.sets[place]
            draw = Draw(int(torch.randint(len(chosen), ())), int(torch.randint(2**32, ())))
        item = chosen[draw]
        if not self.has_truth:
            item = self._with_truth_or_none(item)
        elif 'gt' not in item:
            raise UserError(f'{self.name}: sets: {place} is a {self.opt["sets"][place]["type"]}, which gives no clean '
                            'pictures: take it out, or write NoisyPicturesDataset, whose pictures a teacher teaches.')
        return {key: item[key] for key in self.keys}

    def _with_truth_or_none(self, item: dict[str, Any]) -> dict[str, Any]:
        """An item that tells whether its truth is known; where it is not, NaN stands in its place."""
        if 'gt' in item:
            return {'has_truth': torch.tensor(True), **item}  # a mixed set among the sets has told already
        channels, *sides = item['lq'].shape
        scale = self.opt.get('scale') or 1
        gt = item['lq'].new_full((channels, *(scale * side for side in sides)), math.nan)
        return {**item, 'gt': gt, 'gt_path': '', 'has_truth': torch.tensor(False)}

    def _share(self, place: int, block: Any) -> float:
        if not isinstance(block, Mapping) or 'type' not in block:
            raise UserError(f'{self.name}: sets: {place} is no block with a `type`: write it like {{type: '
                            'CameraNoiseDataset, dataroot_gt: datasets/BSD432}.')
        given = [key for key in FOR_ALL if key in block]
        if given:
            raise UserError(f'{self.name}: sets: {place} has `{given[0]}`, which is the same for all sets: write it '
                            'beside `sets`.')
        share = block.get('share', 1)
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share < math.inf:
            raise UserError(f'{self.name}: sets: {place} has `share: {share}`, a number of at least 0 is allowed: '
                            'write `share: 1`.')
        return float(share)

    def _build(self, place: int, block: Mapping[str, Any]) -> DrawnDataset:
        known = [name for name, _ in DATASET_REGISTRY]
        if block['type'] not in known:
            raise UserError(f'{self.name}: sets: {place} has `type: {block["type"]}`, which is not known; did you mean '
                            f'{" or ".join(near_matches(block["type"], known))}?')
        options = {key: self.opt[key] for key in PASSED_ON if key in self.opt}
        options |= {'name': f'{self.name}: sets: {place}', **block}
        options |= {key: os.path.expanduser(value) for key, value in options.items()  # as BasicSR's parser does above
                    if key.startswith('dataroot_') and isinstance(value, str)}
        dataset = follow_draws(build_dataset({key: value for key, value in options.items() if key != 'share'}))
        if not len(dataset):
            raise UserError(f'{self.name}: sets: {place} holds no pictures: give a folder that does.')
        return dataset
