"""Spiking neurons and the blocks made of them."""
import logging

import torch

if not torch.cuda.is_available():  # else torch warns of a missing triton at the first call of each SpikingJelly neuron
    logging.getLogger('torch._library.triton').setLevel(logging.ERROR)
