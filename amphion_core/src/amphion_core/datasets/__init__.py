"""Readers of corpora, each for its published folder layout; ``amphion list datasets`` shows them."""
