"""Repairs without which ``import basicsr`` fails on today's torchvision."""
from __future__ import annotations

import sys

import torch

from basicsr_snn.compat.replacing import module

_kept_libraries: list[torch.library.Library] = []


def define_missing_torchvision_ops() -> None:
    """PyPI's torchvision is a CUDA build: beside a CPU torch its C++ part cannot load and the import dies on `nms`."""
    try:
        module('torchvision')
    except RuntimeError as error:
        if 'torchvision::' not in str(error):
            raise
        library = torch.library.Library('torchvision', 'FRAGMENT')
        _kept_libraries.append(library)  # the definitions live as long as this object
        for name in ('nms', 'qnms'):
            library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
        module('torchvision')


def alias_functional_tensor() -> None:
    """torchvision 0.17 removed `transforms.functional_tensor`, which BasicSR's degradations import (BasicSR#533)."""
    name = 'torchvision.transforms.functional_tensor'
    try:
        module(name)
    except ModuleNotFoundError:
        try:
            sys.modules[name] = module('torchvision.transforms._functional_tensor')
        except ModuleNotFoundError:  # the public module has all that BasicSR takes from it: rgb_to_grayscale
            sys.modules[name] = module('torchvision.transforms.functional')
