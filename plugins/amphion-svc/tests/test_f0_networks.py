"""RMVPE and FCPE: numbers of the published implementations, decoding, windows, and clear errors."""

import json
import zlib
from importlib.machinery import PathFinder
from pathlib import Path

import numpy as np
import pytest
import torch

from amphion_core.api import FeaturePart
from amphion_core.errors import WeightsError
from amphion_core.features.mel import mel_spectrogram
from amphion_svc.features.pitch_bins import local_average, windowed
from amphion_svc.features.rmvpe_network import RMVPE, rmvpe_network

MEL_10MS = {"sample_rate": 16000, "hop_length": 160, "padding": "center", "fmax": None}  # frames of the trackers
SIZES = {"bands": 128, "n_fft": 1024, "channels": 2, "levels": 5, "blocks": 2, "middle": 3, "bins": 360}


def filled(state):
    """Weights that are a function of name and shape, as for the numbers in rmvpe.json."""
    found = {}
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            found[name] = torch.zeros_like(tensor)
            continue
        noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(tensor.shape)).astype(np.float32)
        if name.endswith("running_var"):
            value = 1 + 0.1 * np.abs(noise)
        elif noise.ndim < 2:
            value = name.endswith("weight") + 0.1 * noise
        else:
            value = noise / np.sqrt(noise[0].size)
        found[name] = torch.from_numpy(np.asarray(value, np.float32))
    return found


@pytest.fixture(scope="module")
def tiny_state():
    return filled(RMVPE(**SIZES, filtered=False).state_dict())


@pytest.fixture(scope="module")
def sweep():
    times = np.arange(63 * 160) / 16000
    tones = 0.3 * np.sin(2 * np.pi * (200 * times + 150 * times**2)) + 0.1 * np.sin(2 * np.pi * 1000 * times)
    noise = 0.02 * np.random.RandomState(0).standard_normal(len(times))
    return torch.from_numpy((tones + noise).astype(np.float32))


def test_rmvpe_gives_the_numbers_of_the_published_network(tiny_state, sweep):
    expected = json.loads(Path(__file__).with_name("rmvpe.json").read_text())
    network = rmvpe_network(tiny_state, filtered=None, what="test")
    mel = mel_spectrogram(sweep[None], network.mel)[0, ::16, ::9]
    torch.testing.assert_close(mel, torch.tensor(expected["mel"]), atol=1e-4, rtol=0)
    bins = network.bins(sweep)[::9, ::25]
    torch.testing.assert_close(bins, torch.tensor(expected["bins"]), atol=1e-5, rtol=0)  # stored with 7 digits


def test_the_published_layout_is_that_of_the_network(published_layout):
    layout = published_layout("rmvpe")
    state = {name: torch.empty(shape, device="meta") for name, shape in layout.items()}
    with torch.device("meta"):
        sizes = {**SIZES, "bands": 256, "n_fft": 2048, "channels": 16, "blocks": 4, "middle": 4}
        network = RMVPE(**sizes, filtered=True)
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert own == {name: tuple(value.shape) for name, value in state.items() if not name.startswith("mel.")}


def test_filters_are_used_only_where_they_were_trained(tiny_state, sweep):
    whole = filled(RMVPE(**SIZES, filtered=True).state_dict())
    untrained = rmvpe_network(whole, filtered=None, what="test").bins(sweep)
    torch.testing.assert_close(untrained, rmvpe_network(tiny_state, filtered=None, what="test").bins(sweep))
    counted = {name: value + 9 if name.endswith("tracked") else value for name, value in whole.items()}
    trained = rmvpe_network(counted, filtered=None, what="test").bins(sweep)
    assert (trained - untrained).abs().max() > 1e-3
    torch.testing.assert_close(trained, rmvpe_network(whole, filtered=True, what="test").bins(sweep))


def test_rmvpe_tracks_any_length_and_says_what_it_needs(tiny_state, tmp_path):
    torch.save(tiny_state, tmp_path / "rmvpe.pt")
    part = FeaturePart.named("f0_rmvpe", mel=MEL_10MS, weights=str(tmp_path / "rmvpe.pt"))
    wave = torch.randn(1, 5000, generator=torch.Generator().manual_seed(0))
    found = part.build().extract(wave)
    assert found.shape == (1, 1, 32) and bool((found > 0).any())
    assert len(part.build().variant) == 16
    with pytest.raises(WeightsError, match="needs the file of a published checkpoint") as missing:
        FeaturePart.named("f0_rmvpe", mel=MEL_10MS).build().extract(wave)
    assert "hf download" in missing.value.hint
    torch.save({"other": torch.ones(3)}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="is not a checkpoint of RMVPE"):
        FeaturePart.named("f0_rmvpe", mel=MEL_10MS, weights=str(tmp_path / "other.pt")).build().extract(wave)


def test_fcpe_gives_the_packages_f0(golden):
    if PathFinder.find_spec("torchfcpe") is None:
        pytest.skip("the weights are not installed: pip install --no-deps torchfcpe==0.0.4")
    case = golden("f0")
    expected = case["outputs"]["estimates"]["fcpe"]
    tracker = FeaturePart.named("f0_fcpe", mel=MEL_10MS).build()
    times, f0 = tracker.track(case["inputs"]["wav"])
    np.testing.assert_allclose(times, expected["times"].numpy(), atol=1e-6)
    np.testing.assert_allclose(f0, expected["f0"].numpy(), atol=1e-3)  # Hz; measured 1.3e-4
    truth = case["outputs"]["f_true"].numpy()
    both = (f0[:200] > 0) & (truth > 0)
    assert both.sum() > 130 and np.median(np.abs(1200 * np.log2(f0[:200][both] / truth[both]))) < 2  # cents


def test_another_checkpoint_than_fcpes_is_refused(tmp_path):
    torch.save({"model": {"a": torch.ones(2)}}, tmp_path / "fcpe.pt")
    with pytest.raises(WeightsError, match="is not a checkpoint of FCPE"):
        FeaturePart.named("f0_fcpe", weights=str(tmp_path / "fcpe.pt")).build().extract(torch.zeros(1, 22050))


def test_the_mean_of_bins_is_around_the_largest_one():
    cents = np.arange(20) * 20.0
    bins = np.zeros((2, 20))
    bins[0, [8, 9, 10]] = 0.2, 0.9, 0.2
    bins[0, 19] = 0.8  # far from the largest
    bins[1, [0, 1]] = 0.6, 0.3  # at the edge
    f0, probability = local_average(bins, cents)
    np.testing.assert_allclose(f0, 10 * 2 ** (np.array([180, 20 / 3]) / 1200))
    np.testing.assert_allclose(probability, [0.9, 0.6])


def test_windows_give_what_the_whole_recording_gives():
    wave = torch.arange(16000.0)

    def ramp(samples):
        return samples[0] + 160 * torch.arange(len(samples) // 160 + 1)[:, None]

    whole = windowed(wave, ramp, 160, seconds=10, overlap=1)
    assert whole.shape == (101, 1)
    np.testing.assert_allclose(windowed(wave, ramp, 160, seconds=0.3, overlap=0.1), whole, rtol=1e-6)


@pytest.mark.parametrize("name", ["f0_rmvpe", "f0_fcpe"])
def test_a_range_that_the_bins_do_not_cover_is_refused(name):
    with pytest.raises(ValueError, match="is not within"):
        FeaturePart.named(name, fmin=20)
