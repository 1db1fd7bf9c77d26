"""Text-to-speech networks, one file each, with the layouts of published checkpoints beside it."""
