"""Audio to words: one recogniser a module, resolved by name (kind ``recognizers``)."""
