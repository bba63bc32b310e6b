"""Repairs of how BasicSR's own data sets read pictures."""
from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cv2

from basicsr_snn.compat.replacing import replaces
from basicsr_snn.errors import UserError
from basicsr_snn.images.reading import damaged, read_header

READERS = ('ffhq', 'paired_image', 'realesrgan', 'realesrgan_paired', 'reds', 'single_image', 'vimeo90k')
NAME = 'the picture'


@replaces('imfrombytes', 'basicsr.utils.img_util', 'basicsr.utils',
          *(f'basicsr.data.{name}_dataset' for name in READERS))
def refuse_unreadable_pictures(upstream: Callable[..., Any], content: bytes, *arguments: Any, **options: Any) -> Any:
    """A bomb filled the memory, and a damaged picture ended in `'NoneType' object has no attribute 'astype'`."""
    read_header(io.BytesIO(content), NAME)
    try:
        return upstream(content, *arguments, **options)
    except (AttributeError, cv2.error) as error:
        raise damaged(NAME) from error


@replaces('__getitem__', 'basicsr.data.paired_image_dataset:PairedImageDataset')
def name_unreadable_pairs(upstream: Callable[..., Any], dataset: Any, index: int) -> Any:
    """What is wrong with a picture was said without its name."""
    try:
        return upstream(dataset, index)
    except UserError as error:
        pair = dataset.paths[index]
        raise UserError(f'{pair["gt_path"]} with {pair["lq_path"]}: {error}') from error


@replaces('__getitem__', 'basicsr.data.single_image_dataset:SingleImageDataset')
def name_unreadable_pictures(upstream: Callable[..., Any], dataset: Any, index: int) -> Any:
    """What is wrong with a picture was said without its name."""
    try:
        return upstream(dataset, index)
    except UserError as error:
        raise UserError(f'{dataset.paths[index]}: {error}') from error
