"""The spoken readings of English texts, for the comparison of what was said with what was meant."""
