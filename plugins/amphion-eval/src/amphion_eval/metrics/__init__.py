"""Metrics: one file for each definition, or for a family of definitions with the same inputs."""
