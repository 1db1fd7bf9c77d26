"""Conversion of sound while it arrives: as long as the input, the requested F0, and a latency that is stated."""

import numpy as np
import pytest
import torch

from amphion_core.api import Audio, FeaturePart
from amphion_core.errors import DataError
from amphion_svc.live import Live

RATE = 24000


def fed(live, samples, block):
    """The output for blocks of input, and for each block how many samples came in and went out so far."""
    made, counts = [], []
    for start in range(0, len(samples), block):
        made.append(live.push(samples[start : start + block]))
        counts.append((min(start + block, len(samples)), sum(map(len, made))))
    made.append(live.end())
    return np.concatenate(made), counts


@pytest.fixture(scope="module")
def converted(task, hum):
    source, target = np.tile(hum[0].samples, 2), Audio(np.tile(hum[1].samples, 2), RATE)
    live = Live(task, sample_rate=RATE, key_shift=3, target=target, chunk=0.5)
    return (live, source, *fed(live, source, 1001))


def test_the_output_is_as_long_as_the_input(converted):
    _, source, made, _ = converted
    assert len(made) == len(source)


def test_no_sample_comes_later_than_the_latency_says(converted):
    live, _, _, counts = converted
    assert live.latency == pytest.approx(0.7)
    for received, given in counts:
        assert given > received - live.latency * RATE - 1


def test_the_melody_is_shifted_by_the_requested_semitones(converted):
    _, _, made, _ = converted
    tracker = FeaturePart.named("f0_dio", mel={"preset": "amphion_24k_100", "hop_length": 120}).build()
    f0 = tracker.extract(torch.from_numpy(made)[None])[0, 0].numpy()
    assert (f0 > 0).mean() > 0.9
    assert np.median(f0[f0 > 0]) == pytest.approx(140 * 2 ** (3 / 12), rel=0.005)


def test_input_of_another_rate_keeps_its_seconds(task, hum):
    live = Live(task, sample_rate=16000, key_shift=0, target=Audio(np.tile(hum[1].samples, 2), RATE), chunk=1.0)
    made, _ = fed(live, hum[0].resample(16000).samples, 4000)
    assert len(made) == pytest.approx(len(hum[0].samples), abs=2)


def test_silence_stays_silent(task, hum):
    live = Live(task, sample_rate=RATE, key_shift=0, target=Audio(np.tile(hum[1].samples, 2), RATE), chunk=0.5)
    made, _ = fed(live, np.zeros(30000, np.float32), 5000)
    assert len(made) == 30000 and not made.any()


def test_a_key_shift_is_needed(task, hum):
    with pytest.raises(DataError, match="needs a key shift") as caught:
        Live(task, sample_rate=RATE, key_shift=None, target=hum[1])
    assert "--key-shift" in caught.value.hint
