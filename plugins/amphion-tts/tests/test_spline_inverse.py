"""The spline that inference inverts equals the one that training uses."""

import torch

from amphion_tts.models.stochastic_duration import inverse_spline, spline


def test_the_short_inverse_equals_the_general_one_and_undoes_the_spline():
    generator = torch.Generator().manual_seed(0)
    sizes, slopes = torch.randn(2, 200, 20, generator=generator), torch.randn(2, 200, 9, generator=generator)
    y = torch.randn(2, 200, generator=generator) * 3  # also values outside [-5, 5]
    y[0, :4] = torch.tensor([-5.0, 5.0, -6.0, 6.0])
    widths, heights = sizes.chunk(2, -1)
    expected, _ = spline(y, widths, heights, slopes, tail=5.0, inverse=True)
    found = inverse_spline(y, sizes, slopes, 5.0)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    back, _ = spline(found, widths, heights, slopes, tail=5.0, inverse=False)
    torch.testing.assert_close(back, y, atol=1e-3, rtol=1e-3)
