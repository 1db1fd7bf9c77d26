"""Recipes of text-to-speech networks, one YAML file for each variant."""
