"""Training of the networks of text to audio."""
