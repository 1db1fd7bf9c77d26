"""Singing voice conversion for Amphion: content, melody and speaker features."""
