"""Clean pictures with Gaussian noise added on the fly."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_snn.data.picture_options import PictureOptions, read_noise_seed
from basicsr_snn.data.picture_pairs import Pair, PictureDataset
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import to_float, to_tensor
from basicsr_snn.images.noise import NoiseLevel, add_gaussian_noise, add_training_noise


@DATASET_REGISTRY.register()
class GaussianDenoisingDataset(PictureDataset):
    """Clean pictures (``gt``) and the same with white Gaussian noise (``lq``), made anew at each access.

    Training: a random crop, one of the 8 flips and quarter turns, then fresh noise, neither clipped nor rounded.
    Validation and test: the whole picture with the noise of a generator that starts from ``noise_seed`` for each
    picture, drawn on the (H, W, C) RGB array (Restormer's protocol), so that results compare between networks and
    papers.

    All randomness of training comes from torch's generator. In ``basicsr-snn train`` it starts, for each item, from the
    seed that :class:`basicsr_snn.data.draws.Draw` brings along, which follows from ``manual_seed``, epoch and place in
    the epoch: processes, workers and a resume change no sample. With a sampler of plain indices a DataLoader seeds it
    anew for each worker and epoch. (BasicSR's ``worker_init_fn`` seeds NumPy and ``random`` alike whenever workers
    start: draws from those would repeat the same crops and noise in each epoch.)

    Args:
        opt: the options of the dataset:

            - ``dataroot_gt``: folder of pictures, or an lmdb (a path that ends in ``.lmdb``). 8- or 16-bit files.
            - ``io_backend: {type: disk | lmdb}``: optional, told by the path; checked against it.
            - ``in_ch``: 3 (RGB, default) or 1 (grey; colour is turned into BT.601 luminance).
            - one of ``sigma: 25`` (fixed), ``sigma_range: [0, 55]`` (uniform), ``sigma_list: [15, 25, 50]`` (one of
              them), on the 0..255 scale. Only a fixed level outside training.
            - ``phase``: train, val or test; BasicSR sets it.
            - ``subset: [start, stop]``: only these pictures of the sorted list, ``stop`` excluded, to split one folder.
            - ``recursive``: also the sub-folders; default false.
            - ``cache``: keep the decoded pictures in memory (shared by the workers). Default for training: true where
              they take at most 1 GB; otherwise false.
            - ``noise_seed``: validation and test; default 0.
            - ``gt_size``: training, required: side of the square crop.
            - ``use_hflip``, ``use_rot``: training; mirror left-right; mirror top-bottom and transpose. Default true:
              all 8 symmetries.
            - ``repeat``: training; the epoch holds each picture this often. Default 1.
            - ``on_device``: training; crops, symmetries and noise are drawn where the network trains, from other random
              numbers (:class:`basicsr_snn.data.device_loader.DeviceLoader`). Default false.

    An item holds ``lq`` and ``gt`` (float32 tensors (C, H, W), RGB or grey; ``gt`` in 0..1), ``sigma`` (float32 scalar
    tensor, 0..255 scale), ``lq_path`` and ``gt_path`` (the file, or the key in an lmdb); in training also ``corner``,
    row and column of the crop in the picture, which a message about a broken step tells.

    Raises:
        UserError: options that do not fit together, a missing or empty folder, a picture that cannot be read or used.

    .. code-block:: yaml

        train:
          name: BSD432
          type: GaussianDenoisingDataset
          dataroot_gt: datasets/BSD432
          sigma: 25
          gt_size: 64
          use_hflip: true
          use_rot: true
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        options = PictureOptions.from_opt(opt, 'GaussianDenoisingDataset')
        self.noise = _noise(options, opt)
        self.noise_seed = read_noise_seed(options, opt)
        super().__init__(opt, options)

    def training_pair(self, picture: np.ndarray, index: int) -> Pair:
        sigma = self.noise.draw()
        # Channels first while the pixels are bytes: to move floats takes up to three times as long.
        crop = np.ascontiguousarray(self.augmented_crop(picture).transpose(2, 0, 1))
        gt = torch.from_numpy(to_float(crop))
        return add_training_noise(gt, sigma), gt, sigma

    def test_pair(self, picture: np.ndarray, index: int) -> Pair:
        clean = to_float(picture)
        noisy = add_gaussian_noise(clean, self.noise.values[0], self.noise_seed)
        return to_tensor(noisy), to_tensor(clean), self.noise.draw()


def _noise(options: PictureOptions, opt: Mapping[str, Any]) -> NoiseLevel:
    noise = NoiseLevel.from_options(opt, options.name)
    if not options.train and noise.key != 'sigma':
        raise UserError(f'{options.name}: `{noise.key}` is for training; a score needs one level: write `sigma: '
                        f'{noise.values[-1]:g}`, and one dataset for each level.')
    return noise
