"""Text frontends: convert text to the symbols that a model was trained on."""
