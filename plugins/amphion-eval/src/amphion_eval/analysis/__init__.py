"""Signal analysis that several metrics share: F0, spectral envelopes, cepstra, alignment, text."""
