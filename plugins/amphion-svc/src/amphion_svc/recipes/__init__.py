"""Recipes of converters, one YAML file for each variant."""
