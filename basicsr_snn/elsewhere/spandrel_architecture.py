"""spandrel's view of our networks: how they are recognised by a state dict, and what they tell of themselves."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

from spandrel import (
    MAIN_REGISTRY,
    Architecture,
    ArchRegistry,
    ArchSupport,
    ImageModelDescriptor,
    ModelLoader,
    StateDict,
    UnsupportedModelError,
)
from spandrel.util import KeyCondition
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import computing_in_full
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.inference.other_pictures import through_channels
from basicsr_snn.weight_files.card import Card
from basicsr_snn.weight_files.reading import card_in_header, read_weight_file
from basicsr_snn.zoo.building import arch_named, is_known
from basicsr_snn.zoo.state_dicts import card_of_state, network_of_state

ID = 'basicsr_snn'

is_spikerir = KeyCondition.has_all(
    'stem.weight', 'stem.bias', 'head.conv.weight', 'head.conv.bias',
    KeyCondition.has_any(*(f'{part}.conv.{form}' for part in ('down.0', 'middle.0.body.0')
                           for form in ('weight', 'codes'))))  # codes: ternary weights, packed
is_denoiser_of_kair = KeyCondition.has_all('model.0.weight', 'model.0.bias', 'model.2.weight', 'model.2.bias')
"""DnCNN and FFDNet, which by the names of their weights are the same network."""


class NetworkNotSaidError(UserError, UnsupportedModelError):
    """Weights of a network of this package that do not say which."""


class SpikingArchitecture(Architecture[Restorer]):
    """All networks of this package: students, their ANN twins, and others whose files say what they are of.

    Args:
        name: By which spandrel knows it.
        detect: Whether a state dict is of one.
    """

    def __init__(self, name: str, detect: Callable[[StateDict], bool]) -> None:
        super().__init__(id=name, name=name, detect=detect)

    def load(self, state_dict: StateDict) -> ImageModelDescriptor[Restorer]:
        """The network of a state dict, in the form that ships.

        Raises:
            NetworkNotSaidError: It does not say which network it is of.
            UserError: It does not fit the network that it names.
        """
        card = card_of_state(state_dict)
        if card is None:
            raise NetworkNotSaidError(
                'these weights have the names of a SpikerIR, but say neither its neuron nor its time steps, which no '
                'shape tells; give the .pth of a training of basicsr_snn (in ComfyUI always), or a .safetensors of '
                'basicsr-snn export that is read by load_from_file.')
        net = network_of_state(state_dict, card)
        net.register_state_dict_post_hook(_make_contiguous)
        return ImageModelDescriptor(
            net, net.state_dict(), architecture=self, purpose='SR' if net.scale > 1 else 'Restoration',
            tags=_tags(card), supports_half=False, supports_bfloat16=False,  # their few digits tip counts over
            scale=net.scale, input_channels=net.in_ch, output_channels=net.written_channels, call_fn=_restore)


def install_in(registry: ArchRegistry | None) -> None:
    """See :func:`basicsr_snn.spandrel.install`."""
    registry = MAIN_REGISTRY if registry is None else registry
    others = tuple(support.architecture.id for support in registry)
    registry.add(ArchSupport.from_architecture(SpikingArchitecture(ID, _is_ours), before=others),
                 ArchSupport.from_architecture(SpikingArchitecture(f'{ID}_of_basicsr', _is_of_basicsr)),
                 ignore_duplicates=True)
    if ModelLoader.load_state_dict_from_file not in _extended:
        ModelLoader.load_state_dict_from_file = _with_card(ModelLoader.load_state_dict_from_file)


_extended: list[Callable[..., StateDict]] = []
"""What reads files for spandrel and hands cards on."""


def _with_card(load: Callable[..., StateDict]) -> Callable[..., StateDict]:
    """spandrel's reading of a file, which then hands on what the file says of its network."""
    @wraps(load)
    def load_state_dict_from_file(self: ModelLoader, path: str | Path) -> StateDict:
        state = load(self, path)
        card = None if Card.of_content(state) else _card_in(Path(path), state)
        return card.on(state) if card else state

    _extended.append(load_state_dict_from_file)
    return load_state_dict_from_file


def _card_in(path: Path, state: StateDict) -> Card | None:
    """What a file says that was lost on the way: the header of a .safetensors, entries beside the state dict."""
    if path.suffix.lower() == '.safetensors':
        return card_in_header(path)
    return read_weight_file(path)[1] if is_spikerir(state) else None


def _restore(net: Restorer, pictures: Tensor) -> Tensor:
    """Programs give three channels to any network, and leave torch as it is by default."""
    with computing_in_full():
        return through_channels(net, net.in_ch, pictures) if net.in_ch == net.written_channels else net(pictures)


def _make_contiguous(net: nn.Module, state: dict[str, Tensor], prefix: str, metadata: dict[str, Any]) -> None:
    """What spandrel's users save by safetensors has to be."""
    state.update({name: tensor.contiguous() for name, tensor in state.items()})


def _is_of_basicsr(state: StateDict) -> bool:
    """Whether a state dict says that it is of a network of BasicSR's; those that spandrel knows come before."""
    card = Card.of_content(state)
    return card is not None and is_known(card.network_g['type'])


def _is_ours(state: StateDict) -> bool:
    """Whether a state dict says that it is of a network that states our contract, has the names of one, or holds the
    numbers of a shipped one."""
    card = Card.of_content(state)
    if card is not None:
        name = card.network_g['type']
        arch = arch_named(name) if is_known(name) else None
        return isinstance(arch, type) and issubclass(arch, Restorer)
    return is_spikerir(state) or is_denoiser_of_kair(state) and card_of_state(state) is not None


def _tags(card: Card) -> list[str]:
    network: Mapping[str, Any] = card.network_g
    neuron = network.get('neuron') or {}
    noise = '' if card.noise is None else f'noise {card.noise}'
    told = (network['type'], network.get('size'), neuron.get('type'), f'T={network["T"]}' if 'T' in network else '',
            card.task, noise)
    return [str(tag) for tag in told if tag]
