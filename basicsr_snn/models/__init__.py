"""Registered models: every ``*_model.py`` of this folder, and the repair of BasicSR's validation."""
from basicsr_snn.models.validation_loop import save_and_score_each_picture
from basicsr_snn.registration import import_modules_with_suffix

save_and_score_each_picture.install()
import_modules_with_suffix(__name__, __path__, '_model')
