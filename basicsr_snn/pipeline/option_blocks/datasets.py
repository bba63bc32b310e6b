"""The blocks under ``datasets:``."""
from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from basicsr_snn.images.noise import HIGHEST_SIGMA
from basicsr_snn.pipeline.option_blocks.base import Block, Built, Count, Natural, Positive, Word, says

Sigma = Annotated[float, msgspec.Meta(ge=0, le=HIGHEST_SIGMA)]


class IoBackend(Block, kw_only=True):
    """Where pictures are read from."""

    type: Annotated[Literal['disk', 'lmdb'], says('A folder or an lmdb.', 'disk')]


class LoadedDataset(Block, kw_only=True):
    """What BasicSR's data loader reads from the block of any data set."""

    added_by_parser: ClassVar = ('phase', 'scale')

    name: Annotated[Word, says('Name in the log and of the folder of saved pictures.', 'BSD432_train')]
    type: Annotated[str, says('Class of the data set.', 'GaussianDenoisingDataset')]
    io_backend: Annotated[Built | None, says('Where pictures are read from.', {'type': 'disk'})] = None
    batch_size_per_gpu: Annotated[Count | None, says('Training: pictures of a batch; required.', 8)] = None
    num_worker_per_gpu: Annotated[Natural | None, says('Training: processes that read pictures; required.', 1)] = None
    dataset_enlarge_ratio: Annotated[Positive, says('Training: how often an epoch holds each picture.')] = 1
    persistent_workers: Annotated[bool, says('Training: whether these processes live on from epoch to epoch.')] = False
    pin_memory: Annotated[bool, says('Whether batches lie in memory that GPUs copy from faster.')] = False
    prefetch_mode: Annotated[Literal['cpu', 'cuda'] | None, says('Who fetches the next batch; the workers by default.',
                                                                 'cuda')] = None
    num_prefetch_queue: Annotated[Count, says('Batches fetched ahead with `prefetch_mode: cpu`.')] = 1


class GaussianDenoisingDataset(LoadedDataset, kw_only=True):
    """Clean pictures and the same with Gaussian noise, made anew at each access.

    One of `sigma`, `sigma_range` and `sigma_list` is required; outside training it is `sigma`.
    """

    dataroot_gt: Annotated[str, says('Folder of clean pictures, or an lmdb (`.lmdb`).', 'datasets/BSD432')]
    io_backend: Annotated[  # a struct here, where the loader takes any keys
        IoBackend | None, says('Where pictures are read from; told by the path.')] = None  # type: ignore[assignment]
    in_ch: Annotated[Literal[3, 1], says('Channels: 3 (RGB), or 1 (grey; colour becomes BT.601 luminance).')] = 3
    sigma: Annotated[Sigma | None, says('Noise level, standard deviation on the 0..255 scale.', 25)] = None
    sigma_range: Annotated[tuple[Sigma, Sigma] | None, says(
        'Training: lowest and highest noise level, drawn uniformly.', [0, 55])] = None
    sigma_list: Annotated[list[Sigma] | None, says('Training: noise levels of which one is drawn.',
                                                   [15, 25, 50])] = None
    subset: Annotated[tuple[Natural, Count] | None, says(
        'Only these pictures of the sorted list, the second number excluded; all by default.', [0, 400])] = None
    recursive: Annotated[bool, says('Whether sub-folders are read too.')] = False
    cache: Annotated[bool | None, says(
        'Whether decoded pictures stay in memory; by default in training, where they take at most 1 GB.', True)] = None
    noise_seed: Annotated[Natural, says('Validation and test: seed of the noise of each picture.')] = 0
    gt_size: Annotated[Count | None, says('Training: side of the square crop; required.', 64)] = None
    use_hflip: Annotated[bool, says('Training: whether crops are mirrored left to right at random.')] = True
    use_rot: Annotated[bool, says(
        'Training: whether crops are mirrored top to bottom and transposed at random.')] = True
    repeat: Annotated[Count, says('Training: how often the list of pictures holds each picture.')] = 1


class PairedImageDataset(LoadedDataset, kw_only=True):
    """BasicSR's pairs of a clean and a degraded picture; needs `scale` at the top of the file, 1 for equal sizes."""

    dataroot_gt: Annotated[str, says('Folder of clean pictures, or an lmdb (`.lmdb`).', 'datasets/rain/clean')]
    dataroot_lq: Annotated[str, says('Folder of degraded pictures, or an lmdb (`.lmdb`).', 'datasets/rain/rainy')]
    io_backend: Annotated[Built, says('Where pictures are read from: `{type: disk}` or `{type: lmdb}`.',
                                      {'type': 'disk'})]
    meta_info_file: Annotated[str | None, says('Text file with a name a line, in the place of the whole folder.',
                                               'datasets/rain/names.txt')] = None
    filename_tmpl: Annotated[str, says('Name of the degraded picture, `{}` the name of the clean one.')] = '{}'
    gt_size: Annotated[Count | None, says('Training: side of the square crop of the clean picture; required.',
                                          64)] = None
    use_hflip: Annotated[bool | None, says('Training: whether pairs are mirrored left to right; required.',
                                           True)] = None
    use_rot: Annotated[bool | None, says('Training: whether pairs are mirrored and transposed; required.', True)] = None
    color: Annotated[Literal['y'] | None, says('`y` takes the luminance only.', 'y')] = None
    mean: Annotated[list[float] | None, says('Subtracted from each channel.', [0.5, 0.5, 0.5])] = None
    std: Annotated[list[float] | None, says('By which each channel is divided.', [0.5, 0.5, 0.5])] = None


DATASETS: dict[str, type[LoadedDataset]] = {'GaussianDenoisingDataset': GaussianDenoisingDataset,
                                            'PairedImageDataset': PairedImageDataset}
"""Blocks of the data sets whose keys are all known, by name; of others the loader's keys are."""
