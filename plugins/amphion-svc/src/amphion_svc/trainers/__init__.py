"""Trainers of voice conversion."""
