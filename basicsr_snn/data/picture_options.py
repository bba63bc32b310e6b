"""The options that all datasets of ours share, checked: which pictures, which crops of them."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from basicsr_snn.errors import UserError

PHASES = ('train', 'val', 'test')
TRAIN_ONLY = ('gt_size', 'use_hflip', 'use_rot', 'repeat')


@dataclass(frozen=True)
class PictureOptions:
    """The checked options of a :class:`~basicsr_snn.data.picture_pairs.PictureDataset`."""

    name: str
    root: Path
    train: bool
    in_ch: int
    gt_size: int
    use_hflip: bool
    use_rot: bool
    repeat: int
    cache: bool | None
    recursive: bool
    subset: tuple[int, int] | None

    @classmethod
    def from_opt(cls, opt: Mapping[str, Any], default_name: str, root: str = 'dataroot_gt') -> PictureOptions:
        """Read the options of a dataset.

        Args:
            opt: Its block.
            default_name: What messages call a block without a name.
            root: The key of the folder or lmdb.

        Raises:
            UserError: What is wrong with them.
        """
        name = str(opt.get('name', default_name))
        train = _phase(name, opt) == 'train'
        return cls(
            name=name, root=_root(name, opt, root), train=train,
            in_ch=_in_ch(name, opt), gt_size=_whole(name, opt, 'gt_size', 64, required=True) if train else 0,
            use_hflip=bool(_yes_no(name, opt, 'use_hflip', True)), use_rot=bool(_yes_no(name, opt, 'use_rot', True)),
            repeat=_whole(name, opt, 'repeat', 1), cache=_yes_no(name, opt, 'cache', None),
            recursive=bool(_yes_no(name, opt, 'recursive', False)), subset=_subset(name, opt))


def read_noise_seed(options: PictureOptions, opt: Mapping[str, Any]) -> int:
    """``noise_seed`` of datasets that make noise; a ``UserError`` in training, whose noise is fresh."""
    if options.train and 'noise_seed' in opt:
        raise UserError(f'{options.name}: `noise_seed` is for validation and test: leave it out, and set `manual_seed` '
                        'at the top of the option file to repeat a training run.')
    return _whole(options.name, opt, 'noise_seed', 0, lowest=0)


def _phase(name: str, opt: Mapping[str, Any]) -> str:
    phase = opt.get('phase')
    if phase not in PHASES:
        raise UserError(f'{name}: `phase: {phase}` given, {", ".join(PHASES)} are allowed: BasicSR takes it from the '
                        'key above the dataset, so write it below `train:`, `val:` or `test_1:`.')
    given = [key for key in TRAIN_ONLY if key in opt] if phase != 'train' else []
    if given:
        raise UserError(f'{name}: `{given[0]}` is for training and has no effect in {phase}, where whole pictures are '
                        'taken as they are: leave it out.')
    return phase


def _root(name: str, opt: Mapping[str, Any], key: str) -> Path:
    given = opt.get(key)
    if not given:
        kind, example = ('clean', 'BSD432') if key == 'dataroot_gt' else ('noisy', 'PolyU')
        raise UserError(f'{name}: `{key}` is missing: write the folder of {kind} pictures, as in `{key}: '
                        f'datasets/{example}`.')
    root = Path(given).expanduser()
    implied = 'lmdb' if root.suffix == '.lmdb' else 'disk'
    backend = (opt.get('io_backend') or {}).get('type', implied)
    if backend not in ('disk', 'lmdb'):
        raise UserError(f'{name}: `io_backend: {{type: {backend}}}` given, disk and lmdb are allowed: leave '
                        '`io_backend` out, and the path tells.')
    if backend != implied:
        raise UserError(f'{name}: `io_backend: {{type: {backend}}}` does not fit `{key}: {given}`: an lmdb ends '
                        f'in .lmdb, a folder does not; write `type: {implied}` or the other path.')
    return root


def _in_ch(name: str, opt: Mapping[str, Any]) -> int:
    in_ch = opt.get('in_ch', 3)
    if in_ch not in (1, 3) or isinstance(in_ch, bool):
        raise UserError(f'{name}: `in_ch: {in_ch}` given, 3 (RGB) and 1 (grey) are allowed: write `in_ch: 3`.')
    return in_ch


def _whole(name: str, opt: Mapping[str, Any], key: str, default: int, lowest: int = 1, required: bool = False) -> int:
    if required and key not in opt:
        raise UserError(f'{name}: `{key}` is missing: training needs it; write `{key}: {default}`.')
    value = opt.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise UserError(f'{name}: `{key}: {value}` given, a whole number of at least {lowest} is allowed: write '
                        f'`{key}: {default}`.')
    return value


def _yes_no(name: str, opt: Mapping[str, Any], key: str, default: bool | None) -> bool | None:
    value = opt.get(key, default)
    if value is not None and not isinstance(value, bool):
        raise UserError(f'{name}: `{key}: {value}` given, true and false are allowed: write `{key}: true`.')
    return default if value is None else value


def _subset(name: str, opt: Mapping[str, Any]) -> tuple[int, int] | None:
    given = opt.get('subset')
    if given is None:
        return None
    whole = isinstance(given, list | tuple) and all(isinstance(n, int) and not isinstance(n, bool) for n in given)
    if not whole or len(given) != 2 or not 0 <= given[0] < given[1]:
        raise UserError(f'{name}: `subset: {given}` given, [start, stop] with 0 <= start < stop is allowed: write it '
                        'like `subset: [0, 400]`.')
    return given[0], given[1]
