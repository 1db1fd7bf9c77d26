"""Embeddings of audio as vectors: one module each, found by name (kind ``embeddings``)."""
