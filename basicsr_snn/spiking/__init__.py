"""Spiking neurons and the blocks made of them."""
