"""Kathleen, the voice of Amphion's quick start: US English, trained on CC0 recordings. It holds weights, no model."""
