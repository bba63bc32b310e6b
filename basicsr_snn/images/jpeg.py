"""What JPEG makes of a picture, by OpenCV's encoder (libjpeg-turbo)."""
from __future__ import annotations

import cv2
import numpy as np

SUBSAMPLINGS = {420: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, 422: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
                444: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444}
"""How JPEG stores the colours beside the luminance: at half the height and width, at half the width, in full."""


def stored_as_jpeg(picture: np.ndarray, quality: int, subsampling: int = 420) -> np.ndarray:
    """A picture after JPEG.

    Args:
        picture: (H, W, 3 or 1) uint8, RGB or grey.
        quality: 1 to 100; the tables of quantisation are the standard's, scaled as libjpeg scales them.
        subsampling: One of :data:`SUBSAMPLINGS`; without effect on grey pictures, which are stored as such.

    Returns:
        Of the shape of ``picture``, uint8.
    """
    grey = picture.shape[2] == 1
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if grey:
        content = cv2.imencode('.jpg', picture, settings)[1]
        return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE))[..., None]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SUBSAMPLINGS[subsampling]]
    content = cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), settings)[1]
    return cv2.cvtColor(np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)
