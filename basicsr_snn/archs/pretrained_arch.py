"""Networks that others trained, recognised by their weight file: teachers, and rivals in a comparison."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from basicsr_snn.archs.ffdnet_arch import noise_level_map
from basicsr_snn.errors import UserError, first_line
from basicsr_snn.finite import check_numbers
from basicsr_snn.images.padding import pad_at_end
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.installation import find_weight_file
from basicsr_snn.weight_files.declared_size import check_declared_size


@ARCH_REGISTRY.register()
class PretrainedANN(Restorer):
    """Any restoration network that spandrel recognises by its weight file: NAFNet, SwinIR, SCUNet, DRUNet, ...

    Needs ``pip install spandrel``; with ``spandrel_extra_arches``, whose architectures are partly for non-commercial
    use, also Restormer, MPRNet and others. Modules have the names of spandrel's network behind ``net.``, for hints.

    Args:
        path: Weight file: ``.pth``, ``.pt``, ``.ckpt`` or ``.safetensors``.
        sigma: Noise level of a call that gives none, standard deviation on the 0..255 scale, for a network that reads a
            map of it (DRUNet, FDnCNN).

    Shape:
        (N, C, H, W) float32 in 0..1 to the same, or, of a network for super-resolution, to pictures that are larger by
        ``scale``, any H, W >= 1 (mirrored inside, repeated where too small, to the size that the network needs). Output
        is not clipped.

    Raises:
        UserError: spandrel is not installed; the file does not exist, is of no network that spandrel knows, or of one
            that gives pictures of other channels or of no multiple of the size.

    .. code-block:: yaml

        network_g:
          type: PretrainedANN
          path: basicsr_snn/zoo/dncnn_color_blind.pth
          sigma: 25
    """

    carries_weights = True

    def __init__(self, path: str | Path, sigma: float = 25.0) -> None:
        super().__init__()
        found = _recognise(find_weight_file(path))
        self.net: nn.Module = found.model
        self.sigma, self.in_ch, self.scale = sigma, found.input_channels, found.scale
        self.takes_sigma = _first_channels(found.model) == found.input_channels + 1
        self.multiple_of: int = found.size_requirements.multiple_of
        self._sizes = found.size_requirements

    def forward(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        """Restore.

        Args:
            x: (N, C, H, W) in 0..1.
            sigma: Noise level on the 0..255 scale: one for all pictures, or a tensor (N,).

        Raises:
            UserError: ``sigma`` has neither one value nor N.
        """
        height, width = x.shape[-2:]
        right, bottom = self._sizes.get_padding(width, height)
        padded = pad_at_end(x, bottom, right)
        if self.takes_sigma:
            padded = torch.cat([padded, noise_level_map(self.sigma if sigma is None else sigma, padded)], dim=1)
        return self.net(padded)[..., :self.scale * height, :self.scale * width]


def _recognise(path: Path) -> Any:
    """spandrel's description of the network in a weight file."""
    try:
        from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError
    except ImportError as error:
        raise UserError('PretrainedANN needs the package spandrel, which is not installed; type: pip install '
                        'spandrel.') from error
    _add_extra_architectures()
    if not path.is_file():
        raise UserError(f'weight file {path} of PretrainedANN does not exist; correct path:.')
    check_declared_size(path)
    try:
        found = ModelLoader('cpu').load_from_file(path)
    except UnsupportedModelError as error:
        raise UserError(f'{path} is of no network that spandrel knows; give the file of one that it does, such as '
                        'NAFNet, SwinIR, SCUNet, DRUNet or DnCNN, or name the architecture itself as type:.') from error
    except Exception as error:  # torch, pickle and safetensors each raise their own
        raise UserError(f'{path} cannot be read as a weight file ({first_line(error)}); give an undamaged .pth or '
                        '.safetensors file.') from error
    same = found.scale >= 1 and found.input_channels == found.output_channels and found.input_channels in (1, 3)
    if not (isinstance(found, ImageModelDescriptor) and same):
        raise UserError(f'{path} is of {found.architecture.name}, scale {found.scale}, {found.input_channels} to '
                        f'{found.output_channels} channels, {found.purpose}; give a network that restores a grey or '
                        'an RGB picture.')
    check_numbers(found.model.state_dict(), str(path), advice='give an undamaged file')
    return found


def _first_channels(net: nn.Module) -> int | None:
    return next((module.in_channels for module in net.modules() if isinstance(module, nn.Conv2d)), None)


def _add_extra_architectures() -> None:
    try:
        from spandrel_extra_arches import install
    except ImportError:
        return
    install(ignore_duplicates=True)
