"""Network modules that two plugins share."""
