"""Registered datasets: every ``*_dataset.py`` of this folder, and the repair of BasicSR's loaders."""
from basicsr_snn.data.loaders import draw_alike_everywhere
from basicsr_snn.registration import import_modules_with_suffix

draw_alike_everywhere.install()
import_modules_with_suffix(__name__, __path__, '_dataset')
