"""Features of a recording that a converter reads: what is sung, the melody, the loudness, and who sings."""
