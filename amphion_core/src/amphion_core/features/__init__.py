"""Features of audio: mel and linear spectrograms and energy in torch, and F0 by several trackers."""
