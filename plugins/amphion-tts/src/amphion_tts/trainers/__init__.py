"""Trainers of text-to-speech networks."""
