"""Vocoder networks, one file each, with the layouts of published checkpoints beside it."""
