"""Registered models: every ``*_model.py`` of this folder, and the repairs of what BasicSR's models do with pictures."""
from basicsr_snn.models.validation_loop import save_and_score_each_picture
from basicsr_snn.models.windows import pad_as_other_models_do, pad_for_the_network
from basicsr_snn.registration import import_modules_with_suffix

for repair in (save_and_score_each_picture, pad_for_the_network, pad_as_other_models_do):
    repair.install()
import_modules_with_suffix(__name__, __path__, '_model')
