"""Every metric compared with reference numbers and a trusted library; an undefined value has a reason."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_core.errors import DataError
from amphion_eval.analysis.alignment import warp_path
from amphion_eval.analysis.cepstrum import warp

PERFECT = {
    "si_sdr": np.inf, "si_snr": np.inf, "snr": np.inf, "pesq_wb": 4.6439, "pesq_nb": 4.5486, "pesq_raw_nb": 4.5,
    "stoi": 1, "estoi": 1, "mcd": 0, "m_stft": 0, "mel_distance": 0, "lsd": 0, "ltas": 0, "energy_rmse": 0,
    "energy_pc": 1, "f0_rmse": 0, "f0_rmse_hz": 0, "fpc": 1, "vuv_f1": 1,
}  # fmt: skip
"""Every metric of a pair of signals, and its value for identical ones."""


def metric(name, **fields):
    component = amphion.get("metrics", name)
    return component(component.Config(**fields))


def audio(samples, rate=24000):
    return Audio(np.asarray(samples, np.float32), rate)


@pytest.fixture(scope="module")
def case(golden):
    return golden("metrics", framework="numpy")


def test_reference_numbers(case):
    x, y = case["inputs"], case["outputs"]
    ref, deg = audio(x["ref"]), audio(x["deg"])
    ref16, deg16 = audio(x["ref16"], 16000), audio(x["deg16"], 16000)
    assert metric("si_sdr").score(deg, ref) == pytest.approx(y["si_sdr_deg"], abs=1e-3)
    assert metric("si_snr").score(deg, ref) == pytest.approx(y["si_snr_deg"], abs=1e-3)
    assert metric("snr").score(deg, ref) == pytest.approx(y["snr_deg"], abs=1e-3)
    offset = audio(x["deg"] + 0.05)
    assert metric("si_sdr").score(offset, ref) == pytest.approx(y["si_sdr_deg_dc"], abs=1e-3)
    assert metric("pesq_wb").score(deg16, ref16) == pytest.approx(y["pesq_wb"], abs=1e-3)
    assert metric("pesq_nb").score(deg16, ref16) == pytest.approx(y["pesq_nb16k"], abs=1e-3)
    assert metric("pesq_wb").score(ref16, ref16) == pytest.approx(y["pesq_wb_identity"], abs=1e-3)
    assert metric("stoi").score(deg, ref) == pytest.approx(y["stoi_24k"], abs=1e-3)
    assert metric("stoi").score(deg16, ref16) == pytest.approx(y["stoi_16k"], abs=1e-3)
    assert metric("estoi").score(deg, ref) == pytest.approx(y["estoi_24k"], abs=1e-3)


def test_mcd_of_the_stated_definition(case):
    import soxr

    x = case["inputs"]
    ref, deg = (audio(soxr.resample(x[name], 24000, 22050), 22050) for name in ("ref", "deg"))
    expected = case["outputs"]["mcd_world_plain_22k"]
    assert metric("mcd", alignment="cut").score(deg, ref) == pytest.approx(expected, rel=1e-3)
    assert metric("mcd").score(deg, ref) <= expected + 1e-9  # the best path is no worse than the straight one


def test_si_sdr_equals_torchmetrics():
    import torch
    from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

    random = np.random.default_rng(0)
    s = random.standard_normal(8000)
    x = 0.5 * s + 0.1 * random.standard_normal(8000)
    theirs = float(scale_invariant_signal_distortion_ratio(torch.tensor(x), torch.tensor(s)))
    assert metric("si_sdr").score(audio(x), audio(s)) == pytest.approx(theirs, abs=1e-4)


def test_the_warp_is_the_all_pass_of_the_frequency_axis():
    """log |H| on a warped axis from warped coefficients equals log |H| on the plain axis, for a smooth spectrum."""
    alpha, plain = 0.455, np.array([0.3, 0.5, -0.2, 0.1] + [0.0] * 60)
    warped = warp(64, alpha) @ plain
    w = np.linspace(0, np.pi, 50)
    bent = w + 2 * np.arctan(alpha * np.sin(w) / (1 - alpha * np.cos(w)))
    before = plain @ np.cos(np.outer(np.arange(64), w))
    after = warped @ np.cos(np.outer(np.arange(25), bent))
    np.testing.assert_allclose(after, before, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 9999))
def test_alignment_is_the_cheapest_of_all_paths(n, m, seed):
    random = np.random.default_rng(seed)
    a, b = random.standard_normal((n, 3)), random.standard_normal((m, 3))
    cost = np.linalg.norm(a[:, None] - b[None], axis=2)

    def best(i, j):
        if i == j == 0:
            return cost[0, 0]
        steps = [(i - 1, j), (i, j - 1), (i - 1, j - 1)]
        return cost[i, j] + min(best(*step) for step in steps if min(step) >= 0)

    path = warp_path(a, b)
    assert cost[path[:, 0], path[:, 1]].sum() == pytest.approx(best(n - 1, m - 1))
    assert tuple(path[0]) == (0, 0) and tuple(path[-1]) == (n - 1, m - 1)


@pytest.mark.parametrize("name", PERFECT)
def test_identity_is_perfect_and_noise_makes_it_worse(name, data_pack):
    clean = Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3])
    component = metric(name)
    clean = clean.resample(component.sample_rate or clean.sample_rate)
    noise = np.random.default_rng(0).standard_normal(len(clean.samples)).astype(np.float32)
    scores = [
        metric(name).score(Audio(clean.samples + level * noise, clean.sample_rate), clean) for level in (0, 0.003, 0.03)
    ]
    assert scores == sorted(scores, reverse=component.higher_is_better)
    assert scores[0] == pytest.approx(PERFECT[name], abs=1e-3)


@pytest.mark.parametrize("name", PERFECT)
@pytest.mark.parametrize(
    "samples",
    [np.zeros(16000), np.zeros(0), np.zeros(1), np.full(16000, np.nan)],
    ids=["silence", "empty", "one", "nan"],
)
def test_what_is_not_defined_has_a_reason(name, samples):
    good = audio(np.sin(np.arange(16000) * 0.05) * 0.1, 16000)
    component = metric(name)
    rate = component.sample_rate or 16000
    with pytest.raises(DataError):
        component.score(audio(samples, rate), good.resample(rate))


@pytest.mark.parametrize("name", ["mcd", "f0_rmse"])
def test_the_error_for_an_unsupported_rate_names_it(name):
    tone = audio(np.sin(np.arange(11025) * 0.1) * 0.1, 11025)
    with pytest.raises(DataError, match="not defined for 11025 Hz"):
        metric(name, alignment="dtw").score(tone, tone)


def test_different_rates_are_refused():
    with pytest.raises(DataError, match="8000 and 16000 Hz"):
        metric("si_sdr").score(audio(np.ones(100), 8000), audio(np.ones(100), 16000))
