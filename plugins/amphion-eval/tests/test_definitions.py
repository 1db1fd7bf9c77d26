"""Definitions against reference numbers and trusted libraries: F0, energy, spectra, MCD, distributions, both modes."""

import librosa
import numpy as np
import pysptk
import pytest
import pyworld
import scipy.linalg
import scipy.stats
import soxr
import torch

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_core.errors import DataError
from amphion_eval.analysis.cepstrum import mel_cepstrum
from amphion_eval.analysis.cheaptrick import cheaptrick, default_fft_size
from amphion_eval.analysis.pitch import track, track_published
from amphion_eval.metrics.distribution import frechet_distance, frechet_unbiased, inception_score, kl_divergence
from amphion_eval.metrics.mcd import _published

V01 = "amphion_v01"


def metric(name, **fields):
    component = amphion.get("metrics", name)
    return component(component.Config(**fields))


def audio(samples, rate=24000):
    return Audio(np.asarray(samples, np.float32), rate)


@pytest.fixture(scope="module")
def case(golden):
    return golden("metrics", framework="numpy")


@pytest.mark.parametrize("alignment", ["cut", "dtw"])
@pytest.mark.parametrize("name", ["deg", "deg2"])
def test_f0_and_energy_as_published(case, name, alignment):
    ref, deg, y = audio(case["inputs"]["ref"]), audio(case["inputs"][name]), case["outputs"]
    end = f"{name}_{alignment}"
    published = {"definition": V01, "alignment": alignment}
    expected = {
        "f0_rmse": y[f"amphion_f0rmse_cents_{end}"],
        "f0_rmse_hz": y[f"amphion_f0rmse_hz_{end}"],
        "fpc": y[f"amphion_fpc_cents_{end}"],
        "vuv_f1": y[f"vuv_{end}"][3],
    }
    for metric_name, value in expected.items():
        assert metric(metric_name, **published).score(deg, ref) == pytest.approx(value, rel=1e-6), metric_name
    hits, false, missed, _ = y[f"vuv_{end}"]
    details = metric("vuv_f1", **published).measure(deg, ref).details
    assert [*details.values()] == [hits, false, missed]
    assert metric("energy_rmse", alignment=alignment).score(deg, ref) == pytest.approx(
        y[f"energy_rmse_db_{end}"], rel=1e-5
    )
    assert metric("energy_pc", alignment=alignment).score(deg, ref) == pytest.approx(
        y[f"energy_pcc_db_{end}"], rel=1e-6
    )


def test_the_published_tracker_is_praats(case):
    np.testing.assert_array_equal(track_published(audio(case["inputs"]["ref"])), case["outputs"]["praat_f0_ref"])


@pytest.mark.parametrize("tracker", ["dio", "harvest", "praat"])
def test_f0_metrics_are_root_mean_square_and_pearson_of_frames_voiced_in_both(case, tracker):
    ref, deg = audio(case["inputs"]["ref"]), audio(case["inputs"]["deg"])
    a, b = track(ref, tracker), track(deg, tracker)
    voiced = (a > 0) & (b > 0)
    cents = 1200 * np.log2(b[voiced] / a[voiced])
    fields = {"tracker": tracker}
    assert metric("f0_rmse", **fields).score(deg, ref) == pytest.approx(np.sqrt((cents**2).mean()), rel=1e-9)
    hertz = np.sqrt(((a - b)[voiced] ** 2).mean())
    assert metric("f0_rmse_hz", **fields).score(deg, ref) == pytest.approx(hertz, rel=1e-9)
    r = scipy.stats.pearsonr(a[voiced], b[voiced]).statistic
    assert metric("fpc", **fields).score(deg, ref) == pytest.approx(r, rel=1e-9)
    assert metric("f0_rmse", **fields).variant == f"{tracker}, cut"


def test_ours_counts_an_octave_error_and_the_published_definition_hides_it():
    times = np.arange(24000) / 24000
    low, high = (audio(sum(np.sin(2 * np.pi * f * k * times) / k for k in range(1, 8)) * 0.1) for f in (150.0, 300.0))
    assert metric("f0_rmse").score(high, low) == pytest.approx(1200, abs=10)
    assert metric("f0_rmse", definition=V01).score(high, low) < 30


@pytest.mark.parametrize("shift", [12.0, None])
def test_the_key_of_a_converted_voice_can_be_taken_out_of_the_f0_error(shift):
    times = np.arange(24000) / 24000
    phase = 2 * np.pi * np.cumsum(150 * (1 + 0.1 * np.sin(4 * np.pi * times))) / 24000  # F0 from 135 to 165 Hz
    low, high = (audio(sum(np.sin(octave * k * phase) / k for k in range(1, 8)) * 0.1) for octave in (1, 2))
    assert metric("f0_rmse", key_shift=shift).score(high, low) < 10
    assert metric("f0_rmse_hz", key_shift=shift).score(high, low) < 3
    assert metric("f0_rmse", key_shift=7.0).score(high, low) == pytest.approx(500, abs=10)
    assert metric("f0_rmse", key_shift=shift).variant.endswith("any key" if shift is None else "key +12")
    assert metric("fpc").score(high, low) > 0.99


def test_dtw_follows_another_timing_and_cut_does_not(data_pack):
    clip = Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3])
    late = Audio(np.concatenate([np.zeros(clip.sample_rate // 5, np.float32), clip.samples]), clip.sample_rate)
    assert metric("f0_rmse", alignment="dtw").score(late, clip) < metric("f0_rmse").score(late, clip) / 3
    with pytest.raises(DataError, match="frames cannot be compared one by one"):
        metric("f0_rmse", alignment="none").score(late, clip)


def test_voicing_is_counted_over_the_corpus():
    vuv = metric("vuv_f1")
    scores = [
        amphion.api.Score(0.0, {"true_positives": tp, "false_positives": fp, "false_negatives": fn})
        for tp, fp, fn in ((90.0, 0.0, 0.0), (0.0, 10.0, 0.0))
    ]
    assert vuv.aggregate(scores).value == pytest.approx(180 / 190)


def test_mcd_as_pymcd_computes_it(case):
    """Both use the same frames; the path of pymcd's FastDTW is approximate, ours is exact."""
    ref, deg = (audio(soxr.resample(case["inputs"][name], 24000, 22050), 22050) for name in ("ref", "deg"))
    y = case["outputs"]
    assert metric("mcd", definition=V01, alignment="cut").score(deg, ref) == pytest.approx(
        y["pymcd_noise_plain"], rel=1e-6
    )
    assert metric("mcd", definition=V01).score(deg, ref) == pytest.approx(y["pymcd_noise_dtw_sl"], rel=1e-3)


def worlds_envelope(samples, rate, n_fft):
    """F0, times and |H|^2 (N, n_fft / 2 + 1) by pyworld."""
    f0, times = pyworld.dio(samples, rate)
    f0 = pyworld.stonemask(samples, f0, times, rate)
    return f0, times, pyworld.cheaptrick(samples, f0, times, rate, fft_size=n_fft)


@pytest.mark.parametrize(("rate", "n_fft"), [(8000, 512), (16000, 1024), (22050, 512), (24000, 1024), (48000, 2048)])
def test_cheaptrick_is_pyworlds(rate, n_fft, data_pack):
    """Speech with a little noise: without it, pyworld's random numbers of 1e-12 would change the faintest bins."""
    clip = Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3]).resample(rate)
    samples = clip.samples + 1e-3 * np.random.default_rng(0).standard_normal(len(clip.samples))
    f0, times, theirs = worlds_envelope(samples, rate, n_fft)
    assert 0.2 < (f0 > 0).mean() < 0.95
    ours = np.fft.hfft(cheaptrick(samples, f0, times, rate, n_fft), n_fft)[:, : n_fft // 2 + 1]
    np.testing.assert_allclose(ours, np.log(theirs), atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000])
def test_the_envelopes_fft_has_worlds_size(rate):
    assert default_fft_size(rate) == pyworld.get_cheaptrick_fft_size(rate)


def test_the_envelope_of_digital_silence_is_flat_and_always_the_same():
    found = cheaptrick(np.zeros(8000), np.zeros(20), np.arange(20) * 0.005, 16000, 1024)
    np.testing.assert_allclose(found[:, 0], np.log(np.finfo(float).eps))
    np.testing.assert_allclose(found[:, 1:], 0, atol=1e-12)


def test_the_mel_cepstrum_is_sptks(case):
    samples = case["inputs"]["ref"][:24000].astype(np.float64) + 1e-3 * np.random.default_rng(0).standard_normal(24000)
    *_, power = worlds_envelope(samples, 24000, 1024)
    np.testing.assert_allclose(mel_cepstrum(samples, 24000), pysptk.sp2mc(power, order=24, alpha=0.466), atol=1e-6)
    *_, power = worlds_envelope(samples, 22050, 512)
    theirs = pysptk.sptk.mcep(power, order=13, alpha=0.65, maxiter=0, etype=1, eps=1e-8, min_det=0, itype=3)
    np.testing.assert_allclose(_published(samples, 22050), theirs, atol=1e-6)


def test_mcd_counts_the_level_only_with_c0(case):
    ref = audio(case["inputs"]["ref"])
    quiet = audio(0.5 * case["inputs"]["ref"])
    assert metric("mcd").score(quiet, ref) < 0.01
    assert metric("mcd", c0=True).score(quiet, ref) == pytest.approx(6.14185 * np.log(2), rel=1e-2)


def test_log_spectral_distance_by_librosa(case):
    s, x = case["inputs"]["ref"].astype(np.float64), case["inputs"]["deg"].astype(np.float64)
    powers = [np.abs(librosa.stft(wave, n_fft=2048, hop_length=512, pad_mode="reflect")) ** 2 for wave in (x, s)]
    decibels = [10 * np.log10(np.maximum(power, 1e-8)) for power in powers]
    expected = np.sqrt(np.square(decibels[0] - decibels[1]).mean(0)).mean()
    assert metric("lsd").score(audio(x), audio(s)) == pytest.approx(expected, rel=1e-6)


def test_mel_distance_by_librosa(case):
    s, x = (soxr.resample(case["inputs"][name], 24000, 22050) for name in ("ref", "deg"))
    basis = librosa.filters.mel(sr=22050, n_fft=1024, n_mels=80, fmin=0, fmax=8000)
    logs = []
    for wave in (x, s):
        frames = librosa.stft(np.pad(wave, 384, mode="reflect"), n_fft=1024, hop_length=256, center=False)
        logs.append(np.log(np.maximum(basis @ np.sqrt(np.abs(frames) ** 2 + 1e-9), 1e-5)))
    expected = np.abs(logs[0] - logs[1]).mean()
    assert metric("mel_distance").score(audio(x, 22050), audio(s, 22050)) == pytest.approx(expected, rel=1e-4)


def test_singing_power_ratio_of_a_known_spectrum():
    """Harmonics at 200 Hz steps: those up to 2 kHz are 20 dB above the others."""
    times = np.arange(2 * 24000) / 24000
    tone = sum((1.0 if k <= 9 else 0.1) * np.sin(2 * np.pi * 200 * k * times + k * k) for k in range(1, 20))
    assert metric("spr").score(audio(tone * 0.02)) == pytest.approx(20, abs=1)


def test_ltas_ignores_the_level_and_measures_a_tilt(case):
    ref = audio(case["inputs"]["ref"])
    assert metric("ltas").score(audio(0.3 * case["inputs"]["ref"]), ref) < 0.05
    dull = scipy.signal.lfilter([1], [1, -0.9], case["inputs"]["ref"])
    assert metric("ltas").score(audio(dull * 0.1), ref) > 3


def test_frechet_distance_is_the_closed_form(case):
    x, y = case["inputs"], case["outputs"]
    assert frechet_distance(x["fd_A"], x["fd_B"]) == pytest.approx(y["frechet_distance_200x16_150x16"], rel=1e-9)
    random = np.random.default_rng(0)
    a, b = random.standard_normal((6, 20)), random.standard_normal((9, 20)) + 1  # fewer vectors than dimensions
    covariances = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)


def test_extrapolation_removes_the_bias_of_few_windows():
    """Both sets come from one Gaussian, so that the true distance is 0."""
    plain, extrapolated = [], []
    for seed in range(8):
        random = np.random.default_rng(seed)
        a, b = random.standard_normal((400, 16)), random.standard_normal((20000, 16))
        plain.append(frechet_distance(a, b))
        extrapolated.append(frechet_unbiased(a, b))
    assert np.mean(plain) > 0.18
    assert abs(np.mean(extrapolated)) < 0.03
    with pytest.raises(DataError, match="too few to extrapolate"):
        frechet_unbiased(a[:30], b)


def test_inception_score_and_kl_are_audioldm_evals(case):
    x, y = case["inputs"], case["outputs"]
    assert inception_score(x["logits_gen"], 10, seed=None) == pytest.approx(y["isc_mean_std_10splits"], rel=1e-6)
    found = [kl_divergence(a, b) for a, b in zip(x["logits_gen"], x["logits_tgt"], strict=True)]
    expected = y["kl_softmax(audioldm_eval: features_1=gen, features_2=gt)"]
    assert np.mean(found) == pytest.approx(expected, rel=1e-6)
    assert kl_divergence(x["logits_gen"][0], x["logits_gen"][0]) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("size", ["tiny", "full"])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_periodicity_is_torchcrepes(size, data_pack):
    """The network by Fourier transforms gives torchcrepe's probabilities, and the metric the distance of its curves."""
    crepe = pytest.importorskip("torchcrepe", reason='pip install "amphion-eval[crepe]"')
    clip = Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3])
    short = Audio(clip.samples[:15000], clip.sample_rate)
    noise = 0.01 * np.random.default_rng(0).standard_normal(15000).astype(np.float32)
    noisy = Audio(short.samples + noise, clip.sample_rate)
    curves = []
    for each in (short, noisy):
        wave = torch.from_numpy(each.samples)[None]
        found = crepe.predict(
            wave, each.sample_rate, 256, 50.0, 1100.0, size, return_periodicity=True, decoder=crepe.decode.viterbi
        )[1]
        curves.append(crepe.threshold.Silence(-60.0)(found, wave, each.sample_rate, 256)[0].double().numpy())
    expected = np.sqrt(np.square(curves[0] - curves[1]).mean())
    rmse = metric("periodicity_rmse", size=size)
    assert rmse.score(noisy, short) == pytest.approx(expected, abs=1e-5) and expected > 0.01
    assert rmse.score(short, short) == 0 and rmse.variant == f"crepe {size}, cut"


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_periodicity_follows_another_timing_by_dtw(data_pack):
    pytest.importorskip("torchcrepe", reason='pip install "amphion-eval[crepe]"')
    clip = Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3])
    late = Audio(np.concatenate([np.zeros(clip.sample_rate // 4, np.float32), clip.samples]), clip.sample_rate)
    aligned, cut = (
        metric("periodicity_rmse", size="tiny", alignment=name).score(late, clip) for name in ("dtw", "cut")
    )
    assert aligned < cut / 2
    with pytest.raises(DataError, match="frames cannot be compared one by one"):
        metric("periodicity_rmse", size="tiny", alignment="none").score(late, clip)
