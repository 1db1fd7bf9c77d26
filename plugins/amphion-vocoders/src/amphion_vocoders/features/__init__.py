"""Features that a codec makes."""
