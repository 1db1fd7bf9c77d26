"""Augmentations: random changes of recordings, each a component, each draw from a generator that is given."""
