"""Discriminators: networks that tell recordings from generated audio. Needed in training only."""
