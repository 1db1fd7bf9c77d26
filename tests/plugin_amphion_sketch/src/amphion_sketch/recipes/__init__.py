"""Recipes that train the components of this plugin for a few steps."""
