"""The constant-Q transform and the resampler: nnAudio's and torchaudio's numbers, librosa on real audio, pure tones."""

import librosa
import numpy as np
import pytest
import soundfile
import torch

import amphion_core as amphion
from amphion_core.errors import RecipeError
from amphion_vocoders.discriminators.constant_q import ConstantQ, resample


def test_spectra_are_nnaudios(golden):
    case = golden("nnaudio_cqt_hop512_bpo24")
    wanted = case["outputs"]["cqt"]  # (B, bins, N, 2)
    found = ConstantQ(48000, 512, 9, 24, 32.7)(case["inputs"]["x"][:, 0])
    assert float((found.permute(0, 2, 3, 1) - wanted).abs().max() / wanted.abs().max()) < 1e-5


def test_stored_filters_of_a_published_discriminator_are_ours(golden):
    state = golden("amphion_mssbcqtd")["state_dict"]
    for number, (hop, bins) in enumerate(((512, 24), (256, 36), (256, 48))):
        transform = ConstantQ(48000, hop, 9, bins, 32.7)
        prefix = f"discriminators.{number}.cqt_transform."
        torch.testing.assert_close(transform.real, state[f"{prefix}cqt_kernels_real"], atol=1e-7, rtol=0)
        torch.testing.assert_close(transform.imaginary, state[f"{prefix}cqt_kernels_imag"], atol=1e-7, rtol=0)
        torch.testing.assert_close(transform.lowpass, state[f"{prefix}lowpass_filter"], atol=1e-7, rtol=0)


@pytest.mark.parametrize(("key", "factors"), [("y", (1, 2)), ("y16", (3, 2)), ("y22", (160, 147))])
def test_resampling_is_torchaudios(golden, key, factors):
    case = golden("torchaudio_resample")
    found = resample(case["inputs"]["x"][:, 0], factors)
    torch.testing.assert_close(found, case["outputs"][key][:, 0], atol=1e-5, rtol=0)


def test_magnitudes_of_speech_agree_with_librosa(data_pack):
    path = sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[0]
    samples, rate = soundfile.read(path, dtype="float32")
    ours = ConstantQ(rate, 256, 7, 24, 65.4)(torch.from_numpy(samples)[None])[0].square().sum(0).sqrt().numpy()
    theirs = np.abs(librosa.cqt(samples, sr=rate, hop_length=256, fmin=65.4, n_bins=168, bins_per_octave=24))
    edge = 24  # frames in which librosa's longest filters see the padding otherwise
    ours, theirs = ours[:, edge:-edge], theirs[:, edge : ours.shape[1] - edge]
    # librosa's recursion decimates with another lowpass: levels of the strong bins agree within half a dB
    strong = theirs > 0.05 * theirs.max()
    assert np.median(np.abs(20 * np.log10(ours[strong] / theirs[strong]))) < 0.5
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.995


@pytest.mark.parametrize("bin_number", [5, 40, 100, 160])
def test_a_tone_peaks_in_its_own_bin(bin_number):
    rate, fmin = 44100, 65.4
    frequency = fmin * 2 ** (bin_number / 24)
    tone = torch.sin(2 * torch.pi * frequency * torch.arange(2 * rate) / rate)[None]
    magnitude = ConstantQ(rate, 512, 7, 24, fmin)(tone)[0].square().sum(0)
    middle = magnitude[:, magnitude.shape[1] // 2]
    assert int(middle.argmax()) == bin_number


def test_a_transform_that_cannot_be_made_is_told():
    with pytest.raises(RecipeError, match="hop: 100 is not a multiple of 256, which 9 octaves need"):
        amphion.build("discriminator/ms_sb_cqtd", hops=(100, 256, 256))
    with pytest.raises(RecipeError, match=r"octaves: the top, 16742 Hz, is above half the rate, 16000 Hz"):
        amphion.build("discriminator/ms_sb_cqtd", sample_rate=16000)
