"""Metrics: one file a definition, or a family of definitions that share their inputs."""
