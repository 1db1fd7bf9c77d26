"""Features of audio: mel and linear spectrograms in torch, batched, on any device."""
