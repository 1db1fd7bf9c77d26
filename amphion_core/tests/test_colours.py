"""The colour map: its ends, its lightness, values outside."""

import numpy as np

from amphion_core.colours import COLOURS, colour_map


def lightness(colours):
    """sRGB (N, 3) -> CIE L* (N,), IEC 61966-2-1 and CIE 15."""
    part = colours / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16


def test_lightness_rises_evenly():
    found = lightness(colour_map(np.linspace(0, 1, 256)).astype(float))
    steps = np.diff(found[::15])  # a step of one value is mostly rounding
    assert (steps > 0).all() and steps.max() < 1.6 * steps.mean() and steps.min() > 0.5 * steps.mean()
    assert found[0] < 10 and found[-1] > 95


def test_values_outside_have_the_colours_of_the_ends():
    dark, light = [COLOURS[0]] * 3, [COLOURS[-1]] * 3
    found = colour_map(np.array([[-3.0, 0.0, np.nan], [1.0, 7.0, np.inf]]))
    np.testing.assert_array_equal(found, [dark, light])
    assert colour_map(np.zeros((80, 5))).shape == (80, 5, 3)


def test_tensorboards_pictures_take_it():
    """Low bands are at the bottom, and the largest value is the lightest."""
    import torch

    from amphion_core.training.board import colours

    image = colours(torch.arange(12.0).reshape(4, 3))
    np.testing.assert_array_equal(image, colour_map(np.arange(12.0).reshape(4, 3)[::-1] / 11))
