"""Repairs of BasicSR's reading of pictures: an error names the file."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import cv2

from basicsr_snn.compat.replacing import replaces
from basicsr_snn.errors import UserError


class _Last(threading.local):
    name = 'A picture'


_last = _Last()


@replaces('get', 'basicsr.utils.file_client:FileClient')
def remember_name(upstream: Callable[..., Any], client: Any, filepath: str, client_key: str = 'default') -> Any:
    """The picture is decoded by a function that gets its content only."""
    _last.name = str(filepath)
    return upstream(client, filepath, client_key)


@replaces('imfrombytes', 'basicsr.utils.img_util', 'basicsr.utils', *(f'basicsr.data.{name}_dataset' for name in (
    'ffhq', 'paired_image', 'realesrgan', 'realesrgan_paired', 'reds', 'single_image', 'vimeo90k')))
def decode_named_file(upstream: Callable[..., Any], content: bytes | None, *args: Any, **kwargs: Any) -> Any:
    """A broken picture, or one that an lmdb lacks, ended in an AttributeError of None, without its name."""
    if content is None:
        raise UserError(f'The lmdb holds no picture {_last.name!r}, though it is listed: make the lmdb anew.')
    try:
        picture = upstream(content, *args, **kwargs)
    except (AttributeError, cv2.error):  # of a broken, an empty file
        picture = None
    if picture is None:
        raise UserError(f'{_last.name} is no readable picture (damaged, cut short, or another kind of file): replace '
                        'or remove it.')
    return picture
