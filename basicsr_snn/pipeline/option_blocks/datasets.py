"""The blocks under ``datasets:``."""
from __future__ import annotations

import functools
from typing import Annotated, Any, ClassVar, Literal, cast

import msgspec

from basicsr_snn.data import jpeg_dataset, motion_blur_dataset, rain_streaks_dataset
from basicsr_snn.data.camera_noise import ALLOWED, CameraNoise
from basicsr_snn.data.mixed_dataset import FOR_ALL
from basicsr_snn.data.motion_blur_dataset import MotionBlur
from basicsr_snn.data.rain_streaks_dataset import Rain
from basicsr_snn.data.ranges import Range
from basicsr_snn.data.real_pairs_dataset import MARKS
from basicsr_snn.images.noise import HIGHEST_SIGMA, NOISE_KEYS
from basicsr_snn.pipeline.option_blocks.base import Block, Built, Count, Natural, NotNegative, Positive, Word, says

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


class Crops(LoadedDataset, kw_only=True):
    """Which pictures of a folder a data set of ours reads, and which crops of them it trains on."""

    io_backend: Annotated[  # a struct here, where the loader takes any keys
        IoBackend | None, says('Where pictures are read from; told by the path.')] = None  # type: ignore[assignment]
    in_ch: Annotated[Literal[3, 1], says('Channels: 3 (RGB), or 1 (grey; colour becomes BT.601 luminance).')] = 3
    subset: Annotated[tuple[Natural, Count] | None, says(
        'Only these pictures of the sorted list, the second number excluded; all by default.', [0, 400])] = None
    recursive: Annotated[bool, says('Whether sub-folders are read too.')] = False
    cache: Annotated[bool | None, says(
        'Whether decoded pictures stay in memory; by default in training, where they take at most 1 GB.', True)] = None
    gt_size: Annotated[Count | None, says('Training: side of the square crop; required.', 64)] = None
    use_hflip: Annotated[bool, says('Training: whether crops are mirrored left to right at random.')] = True
    use_rot: Annotated[bool, says(
        'Training: whether crops are mirrored top to bottom and transposed at random.')] = True
    repeat: Annotated[Count, says('Training: how often the list of pictures holds each picture.')] = 1


class Pictures(Crops, kw_only=True):
    """Clean pictures of a folder."""

    dataroot_gt: Annotated[str, says('Folder of clean pictures, or an lmdb (`.lmdb`).', 'datasets/BSD432')]


class GaussianDenoisingDataset(Pictures, kw_only=True):
    """Clean pictures and the same with Gaussian noise, made anew at each access.

    One of `sigma`, `sigma_range` and `sigma_list` is required; outside training it is `sigma`.
    """

    sigma: Annotated[Sigma | None, says('Noise level, standard deviation on the 0..255 scale.', 25)] = None
    sigma_range: Annotated[tuple[Sigma, Sigma] | None, says(
        'Training: lowest and highest noise level, drawn uniformly.', [0, 55])] = None
    sigma_list: Annotated[list[Sigma] | None, says('Training: noise levels of which one is drawn.',
                                                   [15, 25, 50])] = None
    noise_seed: Annotated[Natural, says('Validation and test: seed of the noise of each picture.')] = 0
    on_device: Annotated[bool, says(
        'Training: whether crops, flips and noise are drawn where the network trains, from other random numbers.')
        ] = False


class Kinds(Block, kw_only=True):
    """Shares of the kinds of noise that `CameraNoiseDataset` draws; those that are not named are never drawn."""

    camera: Annotated[NotNegative, says('Of a sensor, demosaiced, developed and smoothed.')] = 0
    poisson: Annotated[NotNegative, says('Shot and read noise on the picture as it is.')] = 0
    gaussian: Annotated[NotNegative, says('White Gaussian noise.')] = 0
    jpeg: Annotated[NotNegative, says('A clean picture, stored as JPEG.')] = 0
    none: Annotated[NotNegative, says('A clean picture.')] = 0


def between(limits: Range) -> Any:
    """The type of a least and a largest value within limits."""
    least, most = limits
    number: Any = Annotated[type(least), msgspec.Meta(ge=least, le=most)]
    return tuple[number, number]


class CameraNoiseDataset(Pictures, kw_only=True):
    """Clean pictures and the same with the noise of cameras, made anew at each access."""

    elsewhere: ClassVar = dict.fromkeys(NOISE_KEYS, 'in a GaussianDenoisingDataset; here it is `shot_noise`')

    kinds: Annotated[Kinds | None, says(
        'Shares of the kinds of noise; by default mostly that of cameras.', {'camera': 0.8, 'none': 0.2})] = None
    shot_noise: Annotated[between(ALLOWED['shot_noise']), says(  # type: ignore[valid-type]
        'Variance of a pixel of the sensor for each unit of light, log-uniform.')] = CameraNoise.shot_noise
    light_smoothing: Annotated[between(ALLOWED['light_smoothing']), says(  # type: ignore[valid-type]
        'By how many pixels a camera smooths the noise of the luminance.')] = CameraNoise.light_smoothing
    colour_smoothing: Annotated[between(ALLOWED['colour_smoothing']), says(  # type: ignore[valid-type]
        'By how many pixels it smooths the noise of the colours.')] = CameraNoise.colour_smoothing
    gaussian_sigma: Annotated[between(ALLOWED['gaussian_sigma']), says(  # type: ignore[valid-type]
        'Level of the kind `gaussian`, standard deviation on the 0..255 scale.')] = CameraNoise.gaussian_sigma
    enlarge_range: Annotated[between(ALLOWED['enlarge_range']), says(  # type: ignore[valid-type]
        'Factor by which clean pictures are made larger before they get noise.')] = CameraNoise.enlarge_range
    resize_range: Annotated[between(ALLOWED['resize_range']), says(  # type: ignore[valid-type]
        'Factor by which pictures are made smaller with their noise.')] = CameraNoise.resize_range
    jpeg_share: Annotated[float, msgspec.Meta(ge=0, le=1), says(
        'Share of the noisy pictures that are stored as JPEG.')] = CameraNoise.jpeg_share
    jpeg_quality: Annotated[between(ALLOWED['jpeg_quality']), says(  # type: ignore[valid-type]
        'Least and largest quality of these.')] = CameraNoise.jpeg_quality
    noise_seed: Annotated[Natural, says('Validation and test: seed of the noise of each picture.')] = 0


class RainStreaksDataset(Pictures, kw_only=True):
    """Clean pictures and the same in heavy rain, made anew at each access. All ranges are least and largest values."""

    directions: Annotated[between(rain_streaks_dataset.ALLOWED['directions']), says(  # type: ignore[valid-type]
        'In how many directions it rains; each draws its own values of the other keys.')] = Rain.directions
    angle: Annotated[between(rain_streaks_dataset.ALLOWED['angle']), says(  # type: ignore[valid-type]
        'Degrees from the vertical.')] = Rain.angle
    spread: Annotated[between(rain_streaks_dataset.ALLOWED['spread']), says(  # type: ignore[valid-type]
        'Standard deviation of the angles of single streaks, degrees.')] = Rain.spread
    length: Annotated[between(rain_streaks_dataset.ALLOWED['length']), says(  # type: ignore[valid-type]
        'Length of the streaks in pixels, log-uniform.')] = Rain.length
    width: Annotated[between(rain_streaks_dataset.ALLOWED['width']), says(  # type: ignore[valid-type]
        'Width of the streaks in pixels, log-uniform.')] = Rain.width
    softness: Annotated[between(rain_streaks_dataset.ALLOWED['softness']), says(  # type: ignore[valid-type]
        'Softness of their edges, standard deviation of a Gaussian in pixels.')] = Rain.softness
    coverage: Annotated[between(rain_streaks_dataset.ALLOWED['coverage']), says(  # type: ignore[valid-type]
        'Area of the streaks of one direction, as a share of that of the picture.')] = Rain.coverage
    brightness: Annotated[between(rain_streaks_dataset.ALLOWED['brightness']), says(  # type: ignore[valid-type]
        'Light that the brightest streaks add, of 0..1.')] = Rain.brightness
    noise_seed: Annotated[Natural, says('Validation and test: seed of the rain of each picture.')] = 0


class BorrowedRainDataset(Pictures, kw_only=True):
    """Clean pictures and the same in the rain of other pairs, made anew at each access."""

    dataroot_rainy: Annotated[str, says('Folder of rainy pictures, or an lmdb (`.lmdb`).',
                                        'datasets/Rain100H_train15/rainy')]
    dataroot_dry: Annotated[str, says('Folder of the same without rain, in the same order of names.',
                                      'datasets/Rain100H_train15/clean')]
    noise_seed: Annotated[Natural, says('Validation and test: seed of the rain of each picture.')] = 0


class JPEGDataset(Pictures, kw_only=True):
    """Clean pictures and the same stored as JPEG of low quality, made anew at each access."""

    quality: Annotated[between(jpeg_dataset.ALLOWED['quality']), says(  # type: ignore[valid-type]
        'Least and largest quality; `[10, 10]` is one quality.')] = jpeg_dataset.QUALITY
    subsampling: Annotated[Literal[420, 422, 444], says(
        'How colours are stored: at half the height and width, at half the width, in full.')] = 420
    noise_seed: Annotated[Natural, says('Validation and test: seed of the quality of each picture.')] = 0


class MotionBlurDataset(Pictures, kw_only=True):
    """Clean pictures and the same blurred by a camera that moves, made anew at each access. All ranges are uniform."""

    length: Annotated[between(motion_blur_dataset.ALLOWED['length']), says(  # type: ignore[valid-type]
        'Least and largest length of the path of the camera, in pixels.')] = MotionBlur.length
    wander: Annotated[between(motion_blur_dataset.ALLOWED['wander']), says(  # type: ignore[valid-type]
        'Change of direction in one pixel of the path, standard deviation in radians.')] = MotionBlur.wander
    jerks: Annotated[between(motion_blur_dataset.ALLOWED['jerks']), says(  # type: ignore[valid-type]
        'How often the motion is reversed in one pixel of the path, on average.')] = MotionBlur.jerks
    noise: Annotated[between(motion_blur_dataset.ALLOWED['noise']), says(  # type: ignore[valid-type]
        'Level of the noise behind the blur, standard deviation on the 0..255 scale.')] = MotionBlur.noise
    noise_seed: Annotated[Natural, says('Validation and test: seed of path and noise of each picture.')] = 0


class RealPairsDataset(Pictures, kw_only=True):
    """Real noisy pictures and what they show without noise, side by side in one folder."""

    elsewhere: ClassVar = {'dataroot_lq': 'in BasicSR\'s PairedImageDataset; here clean and noisy pictures lie in the '
                                          'folder `dataroot_gt`'}

    gt_mark: Annotated[str, says('How the names of clean pictures end, before the extension.')] = MARKS['gt_mark']
    lq_mark: Annotated[str, says('How the names of noisy pictures end.')] = MARKS['lq_mark']


class SuperResolutionDataset(Pictures, kw_only=True):
    """Sharp pictures and the same made smaller, anew at each access; needs `scale` at the top of the file, 2 or more.

    `gt_size` is the side of the sharp crop.
    """

    elsewhere: ClassVar = {'dataroot_lq': 'in BasicSR\'s PairedImageDataset; here small pictures are made of those of '
                                          '`dataroot_gt`',
                           **dict.fromkeys(NOISE_KEYS, 'in a GaussianDenoisingDataset; here there is no noise')}


class NoisyPicturesDataset(Crops, kw_only=True):
    """Noisy pictures without a truth, which a teacher teaches."""

    elsewhere: ClassVar = {'dataroot_gt': 'in a RealPairsDataset; here no truth is known, and the noisy pictures lie '
                                          'in `dataroot_lq`'}

    dataroot_lq: Annotated[str, says('Folder of noisy pictures, or an lmdb (`.lmdb`).', 'datasets/PolyU')]
    lq_mark: Annotated[str, says(
        'How the names of the pictures end, before the extension; all by default.', '_real')] = ''
    level: Annotated[Sigma | Literal['auto'], says(
        'Noise level that a teacher is told, 0..255 scale; `auto`: estimated for each picture.')] = 'auto'


class MixedDataset(LoadedDataset, kw_only=True):
    """Several training sets at once, each with its share of the crops."""

    sets: Annotated[list[Annotated[Built, says('', builds='mixed_in')]], says(
        'Data sets, each with its `type` and its `share`, which is 1 by default.')]
    gt_size: Annotated[Count, says('Side of the square crop, for all sets.', 64)]
    in_ch: Annotated[Literal[3, 1], says('Channels, for all sets.')] = 3
    use_hflip: Annotated[bool, says('Whether crops are mirrored left to right, for sets that do not say.')] = True
    use_rot: Annotated[bool, says(
        'Whether crops are mirrored top to bottom and transposed, for sets that do not say.')] = True
    on_device: Annotated[bool, says(
        'Whether crops are drawn where the network trains; for sets of type GaussianDenoisingDataset.')] = False


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


class SingleImageDataset(LoadedDataset, kw_only=True):
    """BasicSR's degraded pictures without clean ones, for a test whose metrics look at the restored picture alone."""

    dataroot_lq: Annotated[str, says('Folder of degraded pictures, or an lmdb (`.lmdb`).', 'datasets/rain/rainy')]
    io_backend: Annotated[Built | None, says(
        'Where pictures are read from: `{type: disk}` or `{type: lmdb}`; told by the path.', {'type': 'disk'})] = None
    meta_info_file: Annotated[str, says('Text file with a name a line, in the place of the whole folder.',
                                        'datasets/rain/names.txt')] = ''
    color: Annotated[Literal['y'] | None, says('`y` takes the luminance only.', 'y')] = None
    mean: Annotated[list[float] | None, says('Subtracted from each channel.', [0.5, 0.5, 0.5])] = None
    std: Annotated[list[float] | None, says('By which each channel is divided.', [0.5, 0.5, 0.5])] = None


DATASETS: dict[str, type[LoadedDataset]] = {
    block.__name__: block
    for block in (GaussianDenoisingDataset, CameraNoiseDataset, RainStreaksDataset, BorrowedRainDataset, JPEGDataset,
                  MotionBlurDataset, RealPairsDataset, NoisyPicturesDataset, SuperResolutionDataset, MixedDataset,
                  PairedImageDataset, SingleImageDataset)}
"""Blocks of the data sets whose keys are all known, by name; of others the loader's keys are."""

FOR_THE_LOADER = tuple(key for key in LoadedDataset.__struct_fields__ if key not in ('name', 'type', 'io_backend'))


@functools.cache
def mixed_in(block: type[LoadedDataset]) -> type[Block]:
    """The block of a data set where it stands in the ``sets`` of a :class:`MixedDataset`.

    It has a ``share``, needs no name, and leaves to the whole what all sets have in common.
    """
    beside = dict.fromkeys((*FOR_THE_LOADER, *FOR_ALL), 'beside `sets:`, for all of them')
    beside['dataset_enlarge_ratio'] += '; how often a set is drawn is its `share`'
    share = Annotated[NotNegative, says('How often it is drawn, in proportion to the other sets.')]
    fields = [(field.name, field.type, *([] if field.required else [field.default]))
              for field in msgspec.structs.fields(block) if field.name not in ('name', *beside)]
    name = ('name', Annotated[str, says('Name in messages; its place by default.')], msgspec.UNSET)
    return cast('type[Block]', msgspec.defstruct(
        f'{block.__name__}InMixed', [*fields, name, ('share', share, 1)], bases=(Block,), kw_only=True,
        namespace={'elsewhere': {**block.elsewhere, **beside}, '__doc__': block.__doc__},
        forbid_unknown_fields=block.__struct_config__.forbid_unknown_fields))
