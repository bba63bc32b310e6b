"""Clean pictures with the noise of cameras added on the fly."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY

from basicsr_snn.data.camera_noise import CameraNoise
from basicsr_snn.data.picture_options import PictureOptions, read_noise_seed
from basicsr_snn.data.picture_pairs import Pair, PictureDataset
from basicsr_snn.errors import UserError
from basicsr_snn.images.camera import enlarged
from basicsr_snn.images.files import to_channels, to_float, to_tensor
from basicsr_snn.images.noise import NOISE_KEYS


@DATASET_REGISTRY.register()
class CameraNoiseDataset(PictureDataset):
    """Clean pictures (``gt``) and the same with noise as cameras make it (``lq``), made anew at each access.

    Shot and read noise in the linear light of a sensor, demosaiced, developed, smoothed as a camera does it, perhaps
    made smaller, rounded to 8 bits and, for a share of the pictures, stored as JPEG
    (:class:`~basicsr_snn.data.camera_noise.CameraNoise`, :mod:`basicsr_snn.images.camera`). What is random follows from
    the same seeds as in :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`. In validation
    and test each picture has a camera and noise of its own, which follow from ``noise_seed`` and its place in the
    folder.

    Args:
        opt: the options of the dataset. ``dataroot_gt``, ``io_backend``, ``in_ch``, ``subset``, ``recursive``,
            ``cache``, ``noise_seed``, ``gt_size``, ``use_hflip``, ``use_rot`` and ``repeat`` are those of
            :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset`; with ``in_ch: 1`` the noise
            is made in colour, then turned into luminance. Its own:

            - ``kinds: {camera: 0.7, poisson: 0.1, gaussian: 0.1, jpeg: 0.07, none: 0.03}``: shares of the kinds of
              noise; what is not named has none. ``camera`` is all of the above; ``poisson`` is shot and read noise on
              the picture as it is, ``gaussian`` white noise; ``jpeg`` a clean picture stored as JPEG, ``none`` a clean
              one.
            - ``shot_noise: [0.0001, 0.006]``: variance of a pixel of the sensor for each unit of light, log-uniform;
              read noise follows from it.
            - ``light_smoothing: [0, 0.9]``, ``colour_smoothing: [0, 5]``: by how many pixels a camera smooths the
              noise of luminance and colours.
            - ``gaussian_sigma: [0, 25]``: level of ``gaussian``, 0..255 scale.
            - ``enlarge_range: [1, 1]``: factor by which the clean picture is made larger before it gets noise; with
              [1, 2] half of the crops and more are as smooth from pixel to pixel as photographs of full resolution.
            - ``resize_range: [1, 1]``: factor by which pictures are made smaller with their noise; by default never.
            - ``jpeg_share: 0.7``, ``jpeg_quality: [75, 100]``: how many of the noisy pictures are stored as JPEG, and
              how well.

    An item holds what those of :class:`~basicsr_snn.data.gaussian_denoising_dataset.GaussianDenoisingDataset` hold;
    ``sigma`` is the standard deviation of what was added to this picture.

    Raises:
        UserError: options that do not fit together, pictures that cannot be read.

    .. code-block:: yaml

        train:
          name: BSD432
          type: CameraNoiseDataset
          dataroot_gt: datasets/BSD432
          gt_size: 64
          kinds: {camera: 0.8, gaussian: 0.1, none: 0.1}
          jpeg_quality: [75, 100]
    """

    def __init__(self, opt: dict[str, Any]) -> None:
        options = PictureOptions.from_opt(opt, 'CameraNoiseDataset')
        given = [key for key in NOISE_KEYS if opt.get(key) is not None]
        if given:
            raise UserError(f'{options.name}: `{given[0]}` given, but the noise of a camera depends on brightness: '
                            'write `shot_noise: [0.0001, 0.006]`, or take `type: GaussianDenoisingDataset`.')
        self.noise = CameraNoise.from_opt(opt, options.name)
        self.noise_seed = read_noise_seed(options, opt)
        super().__init__(opt, options)

    @property
    def channels(self) -> int:
        return 3

    def as_channels(self, picture: np.ndarray, name: str) -> np.ndarray:
        if self.options.in_ch == 1 and picture.shape[2] == 1:
            return np.repeat(picture, 3, axis=2)  # a grey scene before a camera that sees colours
        return to_channels(picture, 3, name)

    def training_pair(self, picture: np.ndarray, index: int) -> Pair:
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        side, factor = self.options.gt_size, self.noise.draw_enlargement(rng)
        wanted = math.ceil(side / self.noise.draw_scale(rng))
        source = min(math.ceil(wanted / factor), *picture.shape[:2])
        larger = min(wanted, int(source * factor))  # less where the picture is too small
        crop = _enlarged(to_float(self.augmented_crop(picture, source)), larger, larger)
        return self._pair(crop, (side, side), rng)

    def test_pair(self, picture: np.ndarray, index: int) -> Pair:
        rng = np.random.default_rng((self.noise_seed, index))
        factor = self.noise.draw_enlargement(rng)
        scene = _enlarged(to_float(picture), *(round(factor * length) for length in picture.shape[:2]))
        scale = self.noise.draw_scale(rng)
        height, width = (max(1, round(scale * length)) for length in scene.shape[:2])
        return self._pair(scene, (height, width), rng)

    def _pair(self, clean: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> Pair:
        noisy, clean = (to_channels(one, self.options.in_ch) for one in self.noise.pair(clean, size, rng))
        sigma = 255 * float(np.sqrt(np.square(noisy - clean).mean()))
        return to_tensor(noisy), to_tensor(clean), torch.tensor(sigma, dtype=torch.float32)


def _enlarged(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    return picture if (height, width) == picture.shape[:2] else enlarged(picture, height, width)
