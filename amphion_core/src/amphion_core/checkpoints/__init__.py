"""Checkpoints of publishers: what a file is, safe reading, their names and values, and the way to our weights."""
