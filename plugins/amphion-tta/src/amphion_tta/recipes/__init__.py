"""Recipes of amphion-tta."""
