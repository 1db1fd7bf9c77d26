"""The multi-band discriminator: size, spectra, what it ignores, and its publisher's checkpoints."""

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core.errors import AudioError, WeightsError

TINY = amphion.get("models", "discriminator/mbd").example_config().model_dump()


def noise(samples=2400, seed=0):
    return torch.randn(2, 1, samples, generator=torch.Generator().manual_seed(seed))


def test_it_has_the_published_size_and_feature_maps():
    net = amphion.build("discriminator/mbd").eval()
    assert sum(parameter.numel() for parameter in net.parameters()) == 1_413_990
    with torch.no_grad():
        scores, features = net(noise(4000))
    assert [score.shape[:3] for score in scores] == [(2, 1, 8), (2, 1, 16), (2, 1, 32)]  # T // hop + 1 frames
    assert [len(maps) for maps in features] == [21, 21, 21]  # five bands of four layers, and the scores


def test_its_spectra_are_those_of_numpy():
    net = amphion.build("discriminator/mbd", **TINY)
    wave = noise()[:, 0]
    found = net.discriminators[1].spectrum(wave)
    padded = np.pad(wave[0].numpy(), 32, mode="reflect")
    window = np.sin(np.pi * np.arange(64) / 64) ** 2
    frame = np.fft.rfft(window * padded[16 * 7 : 16 * 7 + 64])
    torch.testing.assert_close(found[0, 0, 7], torch.tensor(frame.real, dtype=torch.float32), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[0, 1, 7], torch.tensor(frame.imag, dtype=torch.float32), atol=1e-4, rtol=0)


def test_level_and_offset_of_the_audio_do_not_matter():
    net = amphion.build("discriminator/mbd", **TINY).eval()
    with torch.no_grad():
        plain, other = net(noise())[0], net(0.1 * noise() + 0.3)[0]
    for one, two in zip(plain, other, strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)


def test_a_checkpoint_of_its_publisher_loads_without_the_stored_windows():
    net = amphion.build("discriminator/mbd").eval()
    old = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
    state = {"discriminators.0.spec_fn.window": torch.hann_window(2048)}
    for name, tensor in net.state_dict().items():
        for ours, theirs in old.items():
            name = name.replace(ours, theirs)
        state[name] = tensor
    again = amphion.import_model("discriminator/mbd", {"mrd": state, "optim_d": {}}, layout="nvidia")
    with torch.no_grad():
        for one, two in zip(net(noise(4000))[0], again(noise(4000))[0], strict=True):
            torch.testing.assert_close(one, two, atol=1e-5, rtol=0)
    state.pop("discriminators.2.conv_post.bias")
    with pytest.raises(WeightsError, match=r"1 missing: discriminators\.2\.conv_post\.bias"):
        amphion.import_model("discriminator/mbd", state, layout="nvidia")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # its weight norm is the old one
def test_the_same_scores_as_its_publisher():
    module = pytest.importorskip(
        "bigvgan.discriminators", exc_type=ImportError,
        reason="needs pip install matplotlib librosa; pip install --no-deps bigvgan==2.4.1",
    )  # fmt: skip
    theirs = module.MultiBandDiscriminator({}).eval()
    ours = amphion.import_model("discriminator/mbd", theirs.state_dict(), layout="nvidia")
    with torch.no_grad():
        wanted, _, maps, _ = theirs(noise(4000), noise(4000))
        scores, features = ours(noise(4000))
    for one, two in zip(wanted, scores, strict=True):
        torch.testing.assert_close(one.flatten(), two.flatten(), atol=1e-5, rtol=0)
    for one, two in zip(maps, features, strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=0)


def test_audio_that_cannot_be_mirrored_and_bands_without_bins_are_reported():
    with pytest.raises(AudioError, match="64 samples are too few: at least 65"):
        amphion.build("discriminator/mbd", **TINY)(torch.zeros(1, 1, 64))
    with pytest.raises(ValueError, match=r"bands: 0\.5 to 0\.5 of an FFT of 128 has no bins"):
        amphion.build("discriminator/mbd", **TINY | {"bands": ((0.5, 0.5),)})
