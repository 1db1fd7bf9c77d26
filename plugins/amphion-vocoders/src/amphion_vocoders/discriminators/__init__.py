"""Discriminators: networks that distinguish recordings from generated audio. They are used in training only."""
