"""Audio to vectors: one embedding a module, resolved by name (kind ``embeddings``)."""
