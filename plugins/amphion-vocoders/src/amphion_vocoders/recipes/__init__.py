"""Recipes: ``amphion recipes`` lists them, ``amphion recipes NAME`` prints one with every default."""
