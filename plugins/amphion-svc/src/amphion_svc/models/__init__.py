"""Models that convert voices, one in each module."""
