"""Vocoder networks: one file each, beside it the layouts of its published checkpoints."""
