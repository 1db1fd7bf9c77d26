"""Colours of pictures: one map for spectrograms, from dark blue over red to pale yellow."""

from typing import Any

import numpy as np

# From dark to light in nearly equal steps of lightness (CIE L* 6, 27, 47, 71, 97), so that equal differences of the
# value look alike, also in print without colour. Values between two colours are interpolated.
COLOURS = ((13, 8, 70), (110, 20, 120), (200, 60, 90), (250, 150, 40), (250, 250, 165))

Image = np.ndarray[Any, np.dtype[np.uint8]]


def colour_map(values: np.ndarray[Any, np.dtype[Any]]) -> Image:
    """Values (...) in 0..1 -> red, green and blue (..., 3), 0 to 255.

    Values below 0 and NaN get the darkest colour, values above 1 the lightest.

    >>> colour_map(np.array([0.0, 1.0])).tolist()
    [[13, 8, 70], [250, 250, 165]]
    """
    colours = np.array(COLOURS, np.float64)
    position = np.clip(np.nan_to_num(values.astype(np.float64)), 0, 1) * (len(colours) - 1)
    below = np.minimum(position.astype(int), len(colours) - 2)
    mixed = colours[below] + (position - below)[..., None] * (colours[below + 1] - colours[below])
    image: Image = mixed.round().astype(np.uint8)
    return image
