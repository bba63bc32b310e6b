"""The contract of a restorer: what a network for image restoration guarantees, and what it tells of itself."""
from __future__ import annotations

import math
from abc import ABC
from typing import Self

from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.images.padding import restored_on_multiple
from basicsr_snn.inference.probing import probe


class Restorer(nn.Module, ABC):
    """A network that restores pictures, any H, W >= 1: float (N, C, H, W) in 0..1 to the same, or to pictures that are
    larger by a factor; answers are not clipped.

    Whatever tiles, times, exports or teaches with a network asks these attributes only. The values given here are
    neutral: those of a network without strides that needs to be told nothing. A network that does not inherit from this
    class is wrapped once, by :func:`as_restorer`, where it enters.

    Attributes:
        in_ch: Channels C that it reads. Guaranteed to be >= 1.
        out_ch: Channels that it writes; neutral: None, those that it reads.
        scale: Factor by which its answer is larger than its input, a whole number >= 1; neutral: 1.
        multiple_of: Its coarsest stride. Tiles start at multiples of it, so that strided layers see every pixel in the
            same phase; sides of other sizes are padded inside. Guaranteed to be >= 1; neutral: 1.
        mirrors_ends: How they are padded inside: by :func:`basicsr_snn.images.padding.pad_to_multiple`, which mirrors,
            neutral; false: the last row and column are repeated.
        takes_sigma: Whether ``forward`` takes ``sigma``, the noise level on the 0..255 scale, a number or (N,);
            neutral: false.
        carries_weights: Whether it is built with its weights, so that option files name no second path for them.
        T: Time steps of one call; 1 for an ANN.
        receptive_field: Distance in pixels beyond which no input pixel has a part in an output pixel, an upper bound;
            None: it looks at the whole picture, or it is not known. Tiles overlap by it.
        compiles_sizes: Whether a size of picture that it has not met costs it a compilation; tiles then keep their size
            from picture to picture. Neutral: false.
        exit_tolerance: It stops before T steps where a step changes the picture by less than this; neutral: 0, never.
    """

    in_ch: int
    out_ch: int | None = None
    scale = 1
    multiple_of = 1
    mirrors_ends = True
    compiles_sizes = False
    takes_sigma = False
    carries_weights = False
    T = 1
    receptive_field: int | None = None
    exit_tolerance = 0.0

    @property
    def written_channels(self) -> int:
        """Channels of its answers."""
        return self.in_ch if self.out_ch is None else self.out_ch

    @property
    def network(self) -> nn.Module:
        """The network whose module paths people name in hints: this one, or the one that is wrapped."""
        return self

    def require_pictures(self) -> None:
        """Raise a ``UserError`` where this restores no single pictures, as some networks that are wrapped."""
        _ = self.in_ch

    def fold(self) -> Self:
        """Bring the network, in place, into the form that ships: amplitudes and normalisation folded into convolutions.

        The pictures stay the same up to float rounding. Neutral: there is nothing to fold.
        """
        return self.eval()

    def answer_every_step(self) -> None:
        """From now on answer in training with the running mean after each time step, (T, N, C, H, W).

        Raises:
            UserError: The network answers after its last step only, which is the neutral case.
        """
        raise UserError(f'train: every_step is true, but {type(self.network).__name__} answers after its last step '
                        'only; take it out, or take network_g: {type: SpikerIR}.')


class WrappedNetwork(Restorer):
    """The contract around a network that does not state it, or around torch's wrapper for several devices.

    A network that does not state it is tried once: its channels, its scale, and what sides it needs a multiple of, to
    which pictures are then padded.

    Args:
        net: The network; it is trained, saved and hooked as ever.
        window: Pictures are padded to a multiple of this, as BasicSR's ``SwinIRModel`` pads them to ``window_size``.

    Attributes:
        padded_to: What sides are padded to a multiple of out here; 1 where the network pads them itself, or needs not.
    """

    def __init__(self, net: nn.Module, window: int = 1) -> None:
        super().__init__()
        self.net = net
        inner = bare(net)
        if isinstance(inner, Restorer):
            self.multiple_of, self.T = inner.multiple_of, inner.T
            self.takes_sigma, self.receptive_field = inner.takes_sigma, inner.receptive_field
            self.carries_weights, self.exit_tolerance = inner.carries_weights, inner.exit_tolerance
            self.mirrors_ends, self.compiles_sizes = inner.mirrors_ends, inner.compiles_sizes
            self._channels: int | None = inner.in_ch
            self.out_ch, self.scale = inner.out_ch, inner.scale
        elif found := probe(inner, window):
            self._channels, self.scale, window = found.channels, found.scale, found.multiple
        else:  # its features may teach all the same
            self._channels = None
        self.multiple_of = math.lcm(self.multiple_of, window)
        self.padded_to = window

    @property
    def in_ch(self) -> int:  # type: ignore[override]
        if self._channels is None:
            raise UserError(f'{type(self.network).__name__} does not turn a colour or grey picture into one of the '
                            'same or a whole multiple of its size; give a network that restores single pictures.')
        return self._channels

    @property
    def network(self) -> nn.Module:
        return bare(self.net)

    def forward(self, picture: Tensor, sigma: Tensor | float | None = None) -> Tensor:
        def restored(padded: Tensor) -> Tensor:
            return self.net(padded, sigma=sigma) if self.takes_sigma and sigma is not None else self.net(padded)

        return restored_on_multiple(restored, picture, self.padded_to)

    def fold(self) -> Self:
        inner = bare(self.net)
        if isinstance(inner, Restorer):
            inner.fold()
        return self.eval()

    def answer_every_step(self) -> None:
        inner = bare(self.net)
        if isinstance(inner, Restorer):
            inner.answer_every_step()
        else:
            super().answer_every_step()


def as_restorer(net: nn.Module, window: int = 1) -> Restorer:
    """The network itself where it states the contract, else the contract around it.

    Args:
        net: Any network, or torch's data-parallel wrapper of one.
        window: Multiple of the sides that a network with windows needs; 1: any size will do.
    """
    return net if isinstance(net, Restorer) and window == 1 else WrappedNetwork(net, window)


def bare(net: nn.Module) -> nn.Module:
    """The network inside torch's data-parallel wrappers."""
    wrappers = nn.DataParallel | nn.parallel.DistributedDataParallel
    return net.module if isinstance(net, wrappers) else net


def is_built_with_weights(arch: object) -> bool:
    """Whether a registered architecture is built with its weights."""
    return isinstance(arch, type) and issubclass(arch, Restorer) and arch.carries_weights
