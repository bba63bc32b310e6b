"""BasicSR's perceptual loss, whose network is read from a file."""
from __future__ import annotations

from collections.abc import Mapping

from basicsr.losses.basic_loss import PerceptualLoss as LossOfBasicSR
from basicsr.utils.registry import LOSS_REGISTRY

from basicsr_snn.compat.registering import register_in_place
from basicsr_snn.compat.vgg import weights_from


@register_in_place(LOSS_REGISTRY)
class PerceptualLoss(LossOfBasicSR):
    """Distance of the features that a VGG network sees in two pictures, and of their Gram matrices (BasicSR's loss).

    Nothing is downloaded: the weights of the network come from a file.

    Args:
        layer_weights: Weight of each layer of the network by its name, such as ``conv5_4``.
        vgg_type: Which VGG network: ``vgg11``, ``vgg13``, ``vgg16``, ``vgg19``, each also with ``_bn``.
        use_input_norm: Whether pictures are normalised as in the training of the network.
        range_norm: Whether pictures lie in -1..1 and are brought to 0..1.
        perceptual_weight: Factor on the distance of the features; 0 for none.
        style_weight: Factor on the distance of the Gram matrices; 0 for none.
        criterion: ``l1`` or ``fro``.
        vgg_path: Weight file of the network, as torchvision publishes it; without it, the file of that name in
            ``experiments/pretrained_models`` or in torch's own cache.

    .. code-block:: yaml

        perceptual_opt: {type: PerceptualLoss, layer_weights: {conv5_4: 1}, vgg_path: weights/vgg19-dcbb9e9d.pth}
    """

    def __init__(self, layer_weights: Mapping[str, float], vgg_type: str = 'vgg19', use_input_norm: bool = True,
                 range_norm: bool = False, perceptual_weight: float = 1.0, style_weight: float = 0.0,
                 criterion: str = 'l1', vgg_path: str | None = None) -> None:
        with weights_from(vgg_path):
            super().__init__(layer_weights, vgg_type, use_input_norm, range_norm, perceptual_weight, style_weight,
                             criterion)
