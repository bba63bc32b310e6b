"""Restoring pictures in one call: the network that suits a picture, and pictures of every kind that Python has."""
from basicsr_snn.restoring.denoising import denoise
from basicsr_snn.restoring.tasks import restore

__all__ = ['denoise', 'restore']
