"""Repairs of how BasicSR finds pairs of pictures in two folders, and of how it cuts them."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from basicsr_snn.compat.replacing import replaces
from basicsr_snn.errors import UserError, near_matches

Pairs = list[dict[str, str]]


@replaces('paired_paths_from_folder', 'basicsr.data.paired_image_dataset', 'basicsr.data.realesrgan_paired_dataset')
def name_the_lonely(upstream: Callable[..., Pairs], folders: Sequence[str], keys: Sequence[str],
                    filename_tmpl: str) -> Pairs:
    """A picture without its other ended in a bare AssertionError, and the order of pairs hung on the file system."""
    degraded, clean = map(Path, folders)
    for folder, key in ((degraded, keys[0]), (clean, keys[1])):
        if not folder.is_dir():
            raise UserError(f'dataroot_{key}: the folder {folder} does not exist (seen from {Path.cwd()}): give one '
                            'that does.')
    there, wanted = _names(degraded), {}
    for name in _names(clean):
        wanted[_name_of_degraded(name, filename_tmpl)] = name
    for name in sorted(wanted.keys() - there):
        others = there - wanted.keys()
        looks_like = f'; it has {near_matches(name, sorted(others))[0]}' if others else ''
        raise UserError(f'{clean} holds {wanted[name]}, but {degraded} holds no {name}{looks_like}. The two pictures '
                        "of a pair have one name and extension, or names that differ as in filename_tmpl: '{}_rain'.")
    for name in sorted(there - wanted.keys()):
        raise UserError(f'{degraded} holds {name}, but {clean} holds no picture that goes with it: take it out, or '
                        'add the clean one.')
    return sorted(upstream(folders, keys, filename_tmpl), key=lambda pair: pair[f'{keys[1]}_path'])


def _name_of_degraded(name: str, template: str) -> str:
    path = Path(name)
    try:
        return f'{template.format(path.stem)}{path.suffix}'
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(f"filename_tmpl is '{template}', but a name has one place for that of the clean picture: write "
                        "filename_tmpl: '{}_rain'.") from error


def _names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.is_file() and not file.name.startswith('.')}


@replaces('paired_random_crop', 'basicsr.data.paired_image_dataset')
def name_pairs_of_other_sizes(upstream: Callable[..., Any], gt: Any, lq: Any, gt_size: int, scale: int,
                              gt_path: str | None = None) -> Any:
    """Two pictures of different sizes, or smaller than a crop, ended in a ValueError that names neither."""
    try:
        return upstream(gt, lq, gt_size, scale, gt_path)
    except ValueError as error:
        sizes = ' and '.join('x'.join(map(str, one.shape[1::-1])) for one in (gt, lq))
        raise UserError(f'{gt_path} and its degraded picture have {sizes} pixels, but a pair of scale: {scale} must '
                        f'fit together, and hold a crop of gt_size: {gt_size}; take the pair out, or write a smaller '
                        'gt_size.') from error
