"""Text to audio for Amphion: captions become sounds."""
