"""The default voice of Amphion: US English, one female voice, trained on CC0 recordings. It holds weights, no model."""
