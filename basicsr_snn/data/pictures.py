"""Where the functions of :mod:`basicsr_snn.images` were found before that room was made, for programs that use them."""
from basicsr_snn.images.files import picture_size, read_picture, write_picture
from basicsr_snn.images.listing import list_pictures

__all__ = ['list_pictures', 'picture_size', 'read_picture', 'write_picture']
