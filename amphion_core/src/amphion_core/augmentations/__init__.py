"""Augmentations: random changes of recordings. Each is a component that draws from a given generator."""
