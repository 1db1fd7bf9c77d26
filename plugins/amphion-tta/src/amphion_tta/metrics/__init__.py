"""Metrics of generated sounds."""
