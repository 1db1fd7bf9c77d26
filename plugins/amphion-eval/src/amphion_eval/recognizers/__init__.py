"""Speech recognisers: one module each, found by name (kind ``recognizers``)."""
