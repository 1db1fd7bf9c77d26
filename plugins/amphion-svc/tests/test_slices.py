"""Slices: the silences are those of librosa, nothing that sounds is lost, and none is too long."""

from itertools import pairwise

import numpy as np
import pytest

from amphion_core.sounds import sounding
from amphion_svc.slices import slices_of

RATE = 24000


def parts(*lengths):
    """Noise and silence in turn, each with its length in seconds; the noise gets quieter in between."""
    random = np.random.default_rng(0)
    pieces = []
    for number, seconds in enumerate(lengths):
        count = round(seconds * RATE)
        wave = np.sin(np.arange(count) * 0.7) * (1 + np.cos(np.arange(count) / RATE * 2 * np.pi / 3)) * 0.2 + 0.01
        pieces.append(wave * random.uniform(0.9, 1, count) if number % 2 == 0 else np.zeros(count))
    return np.concatenate(pieces).astype(np.float32)


def test_the_sounding_parts_are_those_of_librosa():
    effects = pytest.importorskip("librosa.effects")
    for samples in (parts(0.5, 0.3, 1.0, 0.7, 0.2), parts(0.01, 0.5, 1.3), parts(2.0)[:30001]):
        np.testing.assert_array_equal(sounding(samples, quiet=40), effects.split(samples, top_db=40))


@pytest.mark.parametrize(
    "samples", [parts(3, 0.2, 2, 1, 0.5), parts(31), parts(0.05, 2, 12)], ids=["short", "long", "mixed"]
)
@pytest.mark.parametrize("step", [120, 256])
def test_slices_hold_all_sound_and_are_short(samples, step):
    found = slices_of(samples, RATE, step, longest=5.0)
    for cut in found:
        assert cut.left <= cut.start < cut.stop <= cut.right <= len(samples)
        assert cut.left % step == cut.start % step == 0
        assert cut.right - cut.left <= 5.0 * RATE + 3 * step  # rounding of both ends and of the cut
    for before, after in pairwise(found):
        assert before.stop <= after.start
    inside = np.zeros(len(samples), bool)
    for cut in found:
        inside[cut.start : cut.stop] = True
    loud = np.abs(samples) > 0.005
    assert inside[loud].all()


def test_a_long_sound_is_cut_into_slices_of_similar_length_at_quiet_moments():
    samples = parts(31)
    found = slices_of(samples, RATE, 120, longest=5.0)
    assert min(cut.stop - cut.start for cut in found) > 1.0 * RATE
    level = np.sqrt(np.square(samples).mean())
    for cut in found[1:]:
        assert np.sqrt(np.square(samples[cut.start - 240 : cut.start + 240]).mean()) < 0.9 * level


def test_a_short_silence_does_not_end_a_slice():
    assert len(slices_of(parts(1, 0.3, 1), RATE, 120)) == 1
    assert len(slices_of(parts(1, 1.5, 1), RATE, 120)) == 2


def test_silence_has_no_slice():
    assert slices_of(np.zeros(RATE, np.float32), RATE, 120) == []
