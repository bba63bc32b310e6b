"""The study on real noise: which network a named level takes."""
from __future__ import annotations

import named_levels
import numpy as np

from basicsr_snn import zoo
from basicsr_snn.engines.placing import place
from basicsr_snn.zoo.trained_network import named_network


def test_the_table_of_named_levels_shows_the_best_of_each():
    names = named_levels.NAMES[1]
    found = [{'channels': 1, 'sigma': '25', 'network': name, 'psnr': psnr}
             for name, psnr in zip(names, ('9.50', '10.10'), strict=True)]
    assert named_levels.table(found, 1).splitlines()[2:] == ['| 25 | 9.50 | **10.10** |']


def test_a_network_is_given_noise_of_the_strength_that_it_knows():
    net = place(named_network('spikerir_small_gray25'), 'torch').net
    clean = np.tile(np.linspace(40, 200, 48), (40, 1))[..., None].round().astype(np.uint8)
    scores = [named_levels.mean_psnr(net, zoo.row('spikerir_small_gray25').contrast_for(level), [clean], 50)
              for level in (25, 50)]
    assert scores[1] > scores[0] + 3
