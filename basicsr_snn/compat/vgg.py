"""Repair of the VGG networks that BasicSR's perceptual loss looks through: their weights come from a file."""
from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from basicsr_snn.compat.replacing import module, replaced, replaces
from basicsr_snn.errors import UserError, some
from basicsr_snn.weight_files.reading import read_weight_file

FOLDER = Path('experiments', 'pretrained_models')
"""Where BasicSR looks for the file of vgg19."""

UNREAD = 'num_batches_tracked'
"""What torch's normalisation counts, and never reads outside training; older files lack it."""

_named_file: str | None = None


@contextmanager
def weights_from(file: str | None) -> Iterator[None]:
    """Context in which a VGG network that is built reads this file; None: the one that lies where it is looked for."""
    global _named_file
    kept, _named_file = _named_file, file
    try:
        yield
    finally:
        _named_file = kept


@replaces('__init__', 'basicsr.archs.vgg_arch:VGGFeatureExtractor')
def read_vgg_from_a_file(upstream: Callable[..., None], extractor: Any, layer_name_list: list[str],
                         vgg_type: str = 'vgg19', *args: Any, **kwargs: Any) -> None:
    """It downloaded its weights, and read the file of vgg19 for every other VGG."""
    network = types.SimpleNamespace(features=_features(vgg_type, _find_file(vgg_type)))
    built = types.SimpleNamespace(**{vgg_type: lambda pretrained: network})
    with replaced('vgg', built, 'basicsr.archs.vgg_arch'), replaced('VGG_PRETRAIN_PATH', '', 'basicsr.archs.vgg_arch'):
        upstream(extractor, layer_name_list, vgg_type, *args, **kwargs)


def _find_file(vgg_type: str) -> Path:
    if _named_file is not None:
        return Path(_named_file).expanduser()
    try:
        url = module('torchvision.models').get_model_weights(vgg_type).DEFAULT.url
    except ValueError as error:
        raise UserError(f'vgg_type is {vgg_type!r}, which torchvision does not know; write vgg_type: vgg19.') from error
    name = url.rpartition('/')[2]
    places = (FOLDER / name, Path(torch.hub.get_dir(), 'checkpoints', name))
    found = next((file for file in places if file.is_file()), None)
    if found is None:
        raise UserError(f'the weights of {vgg_type} are not here, and nothing is downloaded while a command runs; '
                        f'fetch {url} once, and put it into {FOLDER}, or write vgg_path: FILE beside it.')
    return found


def _features(vgg_type: str, file: Path) -> nn.Module:
    """The convolutions of a VGG network with the weights of a file; its classifier takes no memory."""
    with torch.device('meta'):
        features = module('torchvision.models').get_model(vgg_type, weights=None, init_weights=False).features
    features.to_empty(device='cpu')
    content = {name.removeprefix('features.'): value for name, value in read_weight_file(file)[0].items()
               if isinstance(value, Tensor)}
    own = features.state_dict()
    lacking = [name for name, value in own.items() if not name.endswith(UNREAD)
               and (name not in content or content[name].shape != value.shape)]
    if lacking:
        raise UserError(f'{file} holds no weights of {vgg_type}: {some(lacking)} are not there or have another shape; '
                        'give the file that torchvision publishes for it, or another vgg_type.')
    features.load_state_dict({name: content[name] for name in own if name in content}, strict=False)
    return features
