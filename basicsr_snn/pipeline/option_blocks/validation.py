"""The ``val:`` block."""
from __future__ import annotations

from typing import Annotated

from basicsr_snn.inference.tiling import TILE_PAD
from basicsr_snn.models.snn_model import ENERGY_PICTURES
from basicsr_snn.pipeline.option_blocks.base import Block, Built, Count, Iterations, Natural, Word, says


class StockVal(Block, kw_only=True):
    """What BasicSR's own `SRModel` reads."""

    val_freq: Annotated[Iterations | None, says('Iterations from one validation to the next; required in a training.',
                                                1000)] = None
    save_img: Annotated[bool | None, says('Whether to save the restored pictures; required.', False)] = None
    suffix: Annotated[Word | None, says(
        'End of the names of saved pictures; `name` of the option file by default. A test needs the key.')] = None
    pbar: Annotated[bool, says('Whether to show a progress bar.')] = False
    metrics: Annotated[dict[str, Annotated[Built, says('', builds='metric')]] | None, says(
        'Scores by the name that the log gives them.',
        {'psnr': {'type': 'calculate_psnr', 'crop_border': 0}})] = None


class Val(StockVal, kw_only=True):
    """Validation in a training, and what a test does."""

    tile: Annotated[Count | None, says('Side in pixels of the tiles of large pictures; whole pictures by default.',
                                        512)] = None
    tile_pad: Annotated[Natural, says('Pixels of its neighbourhood that each tile sees.')] = TILE_PAD
    energy: Annotated[Natural, says('Pictures whose operations are counted; 0 for none.')] = ENERGY_PICTURES
