"""The ``path:`` block."""
from __future__ import annotations

from typing import Annotated, ClassVar

from basicsr_snn.compat.archiving import OWN_FOLDERS
from basicsr_snn.pipeline.option_blocks.base import Block, says


class Path(Block, kw_only=True):
    """Weights to begin with. Where results go is not set here, but by `name`."""

    added_by_parser: ClassVar = OWN_FOLDERS

    pretrain_network_g: Annotated[str | None, says('Weight file of `network_g`; random weights without one.',
                                                   'basicsr_snn/zoo/spikerir_small_color25.pth')] = None
    param_key_g: Annotated[str | None, says(
        'Entry of the weight file to load, such as `params_ema`; without it `params`, or what the file has: the first '
        'of `params_ema`, `params` and `state_dict`, else its only entry. `~` goes by that order at once. '
        '`--weights FILE` obeys it, and the log says which entry was loaded.', 'params_ema')] = 'params'
    strict_load_g: Annotated[bool, says(
        'Whether the weight file must fit the network in every layer, and be of the same network (`T`, `D`, neurons); '
        '`false` loads the layers that fit, and warns.')] = True
    resume_state: Annotated[str | None, says('Training state (`.state`) to go on from; `--auto_resume` finds the last.',
                                             'experiments/NAME/training_states/1000.state')] = None
    ignore_resume_networks: Annotated[list[str] | str | None, says(
        'Networks whose weights a resume does not take from the experiment.', ['network_g'])] = None
