"""Networks as files that other programs read, each read back and compared with its source before it is kept."""
from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from basicsr_snn.errors import UserError
from basicsr_snn.finite import check_answer
from basicsr_snn.inference.contract import as_restorer

WRITERS = {'onnx': ('onnx_graph', ('onnx', 'onnxscript', 'onnxruntime')),
           'safetensors': ('weight_file', ('safetensors',)),
           'nir': ('nir_graph', ('nir', 'nirtorch'))}
"""Module of this package and packages needed, by format."""


def export(net: nn.Module, network: Mapping[str, Any], form: str, file: Path, **how: Any) -> str:
    """Write a network to a file.

    Args:
        net: The network in its training form, weights loaded.
        network: The ``network_g`` block that built it.
        form: A key of :data:`WRITERS`.
        file: Where to, with the format as suffix; it appears once it has been compared with the source.
        how: What the writer of the format takes besides.

    Returns:
        What the comparison found, in words.

    Raises:
        UserError: Another suffix, a missing package, a format that cannot express the network, a file that gives other
            pictures or cannot be written.
        NotFiniteError: The network answers with NaN or infinity.
    """
    if file.suffix != f'.{form}':
        raise UserError(f'-o {file} does not end in .{form}, as files of --format {form} do; write -o '
                        f'{file.with_suffix(f".{form}")}.')
    module, packages = WRITERS[form]
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise UserError(f'--format {form} needs the package {missing[0]}, which is not installed; type: pip install '
                        f'{" ".join(packages)}.')
    _check_answer(net.eval())
    part = file.with_name(f'part_{os.getpid()}_of_{file.name}')  # others may write the same file
    try:
        finding = importlib.import_module(f'{__name__}.{module}').write(net, network, part, **how)
        part.replace(file)
    except OSError as error:
        raise UserError(f'{file} cannot be written ({error}); give another file.') from error
    finally:
        part.unlink(missing_ok=True)
    return finding


@torch.no_grad()
def _check_answer(net: nn.Module) -> None:
    picture = torch.rand(1, as_restorer(net).in_ch, 32, 48, generator=torch.Generator().manual_seed(0))
    check_answer(net(picture), consequence='nothing was written')
