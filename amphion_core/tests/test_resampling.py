"""Features brought to other frames: closed forms, offsets, lengths, gradients, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from amphion_core.errors import AudioError
from amphion_core.features.resampling import to_frames


@settings(max_examples=100, deadline=None)
@given(
    frames=st.integers(1, 30), count=st.integers(1, 60), shift=st.sampled_from([0.005, 0.0116, 0.02]),
    to_shift=st.sampled_from([0.004, 0.0116, 0.05]), offset=st.floats(-0.05, 0.05), to_offset=st.floats(-0.05, 0.05),
)  # fmt: skip
def test_it_is_linear_interpolation_in_time_with_held_ends(frames, count, shift, to_shift, offset, to_offset):
    values = np.random.default_rng(frames).standard_normal((2, frames))
    known, wanted = offset + np.arange(frames) * shift, to_offset + np.arange(count) * to_shift
    expected = [np.interp(wanted, known, row) for row in values]
    feature = torch.from_numpy(values)[None]
    found = to_frames(feature, count, frame_shift=shift, to_shift=to_shift, offset=offset, to_offset=to_offset)
    np.testing.assert_allclose(found[0], expected, atol=1e-9)


def test_a_straight_line_stays_a_straight_line():
    line = (torch.arange(50) + 0.5) * 0.02  # its value is the time of the frame's centre
    found = to_frames(line.expand(1, 3, 50), 80, frame_shift=0.02, to_shift=256 / 22050)
    centres = (torch.arange(80) + 0.5) * 256 / 22050
    torch.testing.assert_close(found[0, 1, 1:], centres[1:], atol=1e-6, rtol=0)
    assert found[0, 1, 0] == pytest.approx(0.01)  # before the first centre its value holds


def test_equal_frames_are_returned_as_they_are():
    feature = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(to_frames(feature, 7, frame_shift=0.01, to_shift=0.01), feature)


def test_each_item_has_its_own_offset_and_length():
    feature = torch.arange(6.0).expand(2, 1, 6).clone()
    feature[1, :, 3:] = 99.0  # padding
    found = to_frames(
        feature, 4, frame_shift=0.02, to_shift=0.02, offset=torch.tensor([0.0, 0.01]), to_offset=0.01,
        lengths=torch.tensor([6, 3]),
    )  # fmt: skip
    torch.testing.assert_close(found[:, 0], torch.tensor([[0.5, 1.5, 2.5, 3.5], [0.0, 1.0, 2.0, 2.0]]))


def test_gradients_are_the_weights_of_the_interpolation():
    feature = torch.zeros(1, 1, 3, dtype=torch.float64, requires_grad=True)
    to_frames(feature, 3, frame_shift=1.0, to_shift=1.0, offset=0.5, to_offset=0.75).sum().backward()
    assert feature.grad.flatten().tolist() == pytest.approx([0.75, 1.0, 1.25])


@pytest.mark.parametrize(
    ("feature", "shift", "message"),
    [(torch.zeros(2, 3), 0.01, "shape"), (torch.zeros(1, 2, 0), 0.01, "N > 0"), (torch.zeros(1, 2, 3), 0.0, "above 0")],
)
def test_wrong_input_has_a_reason(feature, shift, message):
    with pytest.raises(AudioError, match=message):
        to_frames(feature, 3, frame_shift=shift, to_shift=0.01)
