"""Reflection padding from joined pieces gives torch's values and gradients."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.nn import functional as F

from amphion_core.modules.padding import joined, reflect


@settings(deadline=None)  # the first call loads torch's kernels
@given(size=st.integers(1, 12), data=st.data(), batch=st.sampled_from([(), (2,), (2, 3)]))
def test_joined_pieces_equal_torchs_padding_and_its_gradient(size, data, batch):
    before, after = (data.draw(st.integers(0, size - 1)) for _ in range(2))
    x = torch.randn(*batch, size, generator=torch.Generator().manual_seed(size), dtype=torch.float64)
    weight = torch.randn(size + before + after, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def value_and_gradient(pad):
        mine = x.clone().requires_grad_()
        padded = pad(mine)
        (padded * weight).sum().backward()
        return padded.detach(), mine.grad

    expected = value_and_gradient(lambda x: F.pad(x.reshape(1, -1, size), (before, after), "reflect").view(*batch, -1))
    for pad in (joined, reflect):
        for ours, theirs in zip(value_and_gradient(lambda x, pad=pad: pad(x, before, after)), expected, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("pad", [joined, reflect])
@pytest.mark.parametrize("amounts", [(3, 0), (0, 3), (-1, 0)])
def test_padding_by_more_than_there_is_to_mirror_is_refused(pad, amounts):
    with pytest.raises(ValueError, match="3 samples cannot be mirrored"):
        pad(torch.zeros(1, 3), *amounts)
