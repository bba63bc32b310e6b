"""Clean pictures with the noise of cameras added on the fly."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from basicsr.utils.registry import DATASET_REGISTRY
from camera import compressed, draw_sensor, photograph, smooth_noise
from torch import Tensor

from basicsr_snn.data.gaussian_denoising_dataset import GaussianDenoisingDataset
from basicsr_snn.errors import UserError
from basicsr_snn.images.files import to_float, to_integers, to_tensor

KINDS = ('camera', 'poisson', 'gaussian', 'none')
OWN_KEYS = ('kinds', 'shot_noise', 'light_smoothing', 'colour_smoothing', 'gaussian_sigma', 'jpeg_share',
            'jpeg_quality')
SIGMA_KEYS = ('sigma', 'sigma_range', 'sigma_list')


@dataclass(frozen=True)
class CameraNoise:
    """How noise is drawn; the defaults are our choice, after the statistics of PolyU's training scenes.

    Attributes:
        kinds: Shares of pictures with the noise of a camera, with shot and read noise on the picture as it is, with
            white Gaussian noise, and with none.
        shot_noise: Least and largest variance of a pixel for each unit of light, log-uniform; Brooks et al. take
            [0.0001, 0.012] for raw pictures of ISO 100 to 6400 or so.
        light_smoothing, colour_smoothing: Least and largest Gaussian, in pixels, by which a camera smooths noise.
        gaussian_sigma: Least and largest standard deviation of white noise, 0..255 scale.
        jpeg_share: Share of pictures that are stored as JPEG; all others are rounded to 8 bits.
        jpeg_quality: Least and largest quality, 1..100.
    """

    kinds: Mapping[str, float] = field(
        default_factory=lambda: {'camera': 0.7, 'poisson': 0.1, 'gaussian': 0.1, 'none': 0.1})
    shot_noise: tuple[float, float] = (0.0001, 0.006)
    light_smoothing: tuple[float, float] = (0.0, 0.9)
    colour_smoothing: tuple[float, float] = (0.0, 5.0)
    gaussian_sigma: tuple[float, float] = (0.0, 25.0)
    jpeg_share: float = 0.7
    jpeg_quality: tuple[int, int] = (75, 100)

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not sum(self.kinds.values()) > 0 or min(self.kinds.values()) < 0:
            raise UserError(f'kinds: {dict(self.kinds)} was given; write shares of {", ".join(KINDS)}, for example '
                            'kinds: {camera: 0.8, none: 0.2}.')
        for key in ('shot_noise', 'light_smoothing', 'colour_smoothing', 'gaussian_sigma', 'jpeg_quality'):
            lowest, highest = getattr(self, key)
            if not 0 <= lowest <= highest or key in ('shot_noise', 'jpeg_quality') and lowest <= 0:
                raise UserError(f'{key}: [{lowest}, {highest}] was given; write the least and the largest value, as in '
                                f'{key}: {list(getattr(CameraNoise, key))}.')
        if not 0 <= self.jpeg_share <= 1 or self.jpeg_quality[1] > 100:
            raise UserError(f'jpeg_share: {self.jpeg_share} and jpeg_quality: {list(self.jpeg_quality)} were given; '
                            'write a share in 0..1 and qualities of 1 to 100.')

    def add_to(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A noisy picture of 8 bits, (H, W, 3) float32 in 0..1, of a clean one."""
        shares = np.array([self.kinds.get(kind, 0) for kind in KINDS], float)
        kind = rng.choice(KINDS, p=shares / shares.sum())
        stored = to_integers(getattr(self, f'_{kind}')(picture, rng))
        if rng.random() < self.jpeg_share:
            stored = compressed(stored, int(rng.integers(self.jpeg_quality[0], self.jpeg_quality[1] + 1)))
        return to_float(stored)

    def _camera(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noisy = photograph(picture, draw_sensor(rng, self.shot_noise), rng)
        return smooth_noise(picture, noisy, rng.uniform(*self.light_smoothing), rng.uniform(*self.colour_smoothing))

    def _poisson(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sensor = draw_sensor(rng, self.shot_noise)
        spread = np.sqrt(sensor.shot * picture + sensor.read)
        return picture + spread * rng.standard_normal(picture.shape, np.float32)

    def _gaussian(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sigma = rng.uniform(*self.gaussian_sigma) / 255
        return picture + np.float32(sigma) * rng.standard_normal(picture.shape, np.float32)

    def _none(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return picture


@DATASET_REGISTRY.register()
class CameraNoiseDataset(GaussianDenoisingDataset):
    """Clean pictures (``gt``) and the same with noise as cameras make it (``lq``), made anew at each access.

    Light on the sensor with shot and read noise, demosaicing, development, the camera's own noise reduction, 8 bits and
    JPEG (:mod:`basicsr_snn.images.camera`). Crops, flips, seeds, subsets and cache are those of
    :class:`GaussianDenoisingDataset`; ``noise_seed`` starts the noise of each validation picture, together with its
    place in the list.

    Args:
        opt: the options of the dataset: those of :class:`GaussianDenoisingDataset` but for the noise level, with
            ``in_ch: 3``, and those of :class:`CameraNoise`.

    An item holds what those of :class:`GaussianDenoisingDataset` hold; ``sigma`` is the standard deviation of what was
    added to this picture, 0..255 scale.

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
        name = opt.get('name', 'CameraNoiseDataset')
        given = [key for key in SIGMA_KEYS if key in opt]
        if given or opt.get('in_ch', 3) != 3:
            raise UserError(f'{name}: `{given[0] if given else "in_ch"}` was given, but a camera makes noise of its '
                            'own in three colours: leave it out, or take `type: GaussianDenoisingDataset`.')
        self.noise = CameraNoise(**{key: _as_tuple(opt[key]) for key in OWN_KEYS if key in opt})
        super().__init__({**opt, 'sigma': 0})
        self.opt = opt

    def _training_pair(self, picture: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        clean = to_float(np.ascontiguousarray(self._augmented_crop(picture)))
        return self._pair(clean, np.random.default_rng(int(torch.randint(2**62, ()))))

    def _test_pair(self, picture: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        return self._pair(to_float(picture), np.random.default_rng(self.options.noise_seed))

    def _pair(self, clean: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        noisy = self.noise.add_to(clean, rng)
        sigma = 255 * float(np.sqrt(np.square(noisy - clean).mean()))
        return to_tensor(noisy), to_tensor(clean), torch.tensor(sigma, dtype=torch.float32)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
