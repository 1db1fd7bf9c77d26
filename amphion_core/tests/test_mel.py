"""Mel and linear spectrograms: reference numbers, librosa and torchaudio, batches, lengths, gradients, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core.api import MelConfig
from amphion_core.errors import AudioError
from amphion_core.features.linear import linear_spectrogram
from amphion_core.features.mel import hop_aligned_mel, mel_filterbank, mel_spectrogram

PRESETS = MelConfig.presets()


def noise(rate, seconds=0.5, seed=0):
    random = np.random.default_rng(seed)
    times = np.arange(int(rate * seconds)) / rate
    return (0.3 * np.sin(2 * np.pi * 220 * times) + 0.05 * random.standard_normal(len(times))).astype(np.float32)


def test_reference_numbers(golden):
    # float32 FFTs of two machines differ by 3e-5 in quiet bands; the reference itself is 2e-5 from float64
    for name, preset in (("mel_22khz_80band", "hifigan_22k_80"), ("mel_24khz_100band", "bigvgan_24k_100")):
        case = golden(name)
        made = mel_spectrogram(case["inputs"]["wav"], MelConfig.preset(preset))
        torch.testing.assert_close(made, case["outputs"]["mel"], atol=5e-5, rtol=0)
    case = golden("nsf_mel_44k")
    made = mel_spectrogram(case["inputs"]["wav"], MelConfig.preset("nsf_44k_128"))
    torch.testing.assert_close(made, case["outputs"]["logmel"], atol=1e-4, rtol=0)
    case = golden("melgan_audio2mel")
    made = mel_spectrogram(case["inputs"]["wav"][:, 0], MelConfig.preset("melgan_22k_80"))
    torch.testing.assert_close(made, case["outputs"]["mel"], atol=5e-5, rtol=0)
    case = golden("wavernn_dsp")
    config = MelConfig.preset("wavernn_22k_80").replace(pad_mode="constant")  # as the librosa of the reference pads
    made = mel_spectrogram(case["inputs"]["wav"].float()[None], config)[0]
    torch.testing.assert_close(made, case["outputs"]["mel"], atol=1e-5, rtol=0)


def log_of(magnitude, config):
    limited = np.maximum(magnitude, config.floor)
    if config.log == "ln":
        return np.log(limited)
    if config.log == "log10":
        return np.log10(limited)
    return np.clip((20 * np.log10(limited) - config.reference_db - config.min_db) / -config.min_db, 0, 1)


@pytest.mark.parametrize("name", [name for name, config in PRESETS.items() if config.scale == "slaney"])
def test_every_slaney_preset_equals_librosa(name):
    import librosa

    config = PRESETS[name]
    wave = noise(config.sample_rate)
    padded = np.pad(wave, config.pad, mode=config.pad_mode)
    window = {"n_fft": config.n_fft, "hop_length": config.hop_length, "win_length": config.win_length, "center": False}
    magnitude = np.sqrt(np.abs(librosa.stft(padded, **window)) ** 2 + config.epsilon)
    bank = librosa.filters.mel(
        sr=config.sample_rate, n_fft=config.n_fft, n_mels=config.n_mels, fmin=config.fmin, fmax=config.top
    )
    np.testing.assert_allclose(mel_filterbank(config).numpy(), bank, atol=1e-7)
    theirs = log_of(bank @ magnitude, config)
    ours = mel_spectrogram(torch.from_numpy(wave)[None], config)[0].numpy()
    np.testing.assert_allclose(ours, theirs[:, : ours.shape[1]], atol=1e-4)
    assert ours.shape[1] == config.frames(len(wave))


@pytest.mark.parametrize("name", [name for name, config in PRESETS.items() if config.scale == "htk"])
def test_every_htk_preset_equals_torchaudio(name):
    import torchaudio

    config = PRESETS[name]
    wave = torch.from_numpy(noise(config.sample_rate))[None]
    theirs = torchaudio.transforms.MelSpectrogram(
        config.sample_rate, config.n_fft, config.win_length, config.hop_length, config.fmin, config.top,
        n_mels=config.n_mels, power=1.0, normalized=config.normalized, center=True, mel_scale="htk", norm=None,
    )(wave)[0].numpy()  # fmt: skip
    np.testing.assert_allclose(mel_spectrogram(wave, config)[0].numpy(), log_of(theirs, config), atol=1e-4)


def test_the_linear_spectrogram_equals_torch_stft():
    config = MelConfig.preset("vits_22k_80")
    wave = torch.from_numpy(noise(22050))[None]
    padded = torch.nn.functional.pad(wave, config.pad, mode="reflect")
    theirs = torch.stft(padded, 1024, 256, window=torch.hann_window(1024), center=False, return_complex=True)
    expected = (theirs.real**2 + theirs.imag**2 + 1e-6).sqrt()
    torch.testing.assert_close(linear_spectrogram(wave, config), expected, atol=1e-4, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(600, 5000), min_size=1, max_size=4),
    preset=st.sampled_from(["hifigan_22k_80", "tacotron2_22k_80"]),
)
def test_items_of_a_batch_are_what_they_are_alone(lengths, preset):
    config = PRESETS[preset]
    items = [torch.from_numpy(noise(22050, 0.3, seed))[:length] for seed, length in enumerate(lengths)]
    batch = torch.nn.utils.rnn.pad_sequence(items, batch_first=True)
    both = mel_spectrogram(batch, config, torch.tensor(lengths))
    for row, item in zip(both, items, strict=True):
        alone = mel_spectrogram(item[None], config)[0]
        assert alone.shape[1] == config.frames(len(item))
        torch.testing.assert_close(row[:, : alone.shape[1]], alone, atol=1e-4, rtol=0)
        assert not row[:, alone.shape[1] :].any()


def test_gradients_flow_and_agree_with_the_block_wise_path():
    config = PRESETS["hifigan_22k_80"]
    wave = torch.from_numpy(noise(22050))[None]
    blocks = mel_spectrogram(wave, config)
    grown = wave.clone().requires_grad_()
    whole = mel_spectrogram(grown, config)
    torch.testing.assert_close(blocks, whole.detach(), atol=1e-5, rtol=0)
    whole.sum().backward()
    assert torch.isfinite(grown.grad).all() and grown.grad.abs().sum() > 0


def test_power_and_normalisation_equal_torchaudio():
    import torchaudio

    config = PRESETS["vocos_24k_100"].replace(power=2.0, normalized=True, win_length=800, pad_mode="constant")
    wave = torch.from_numpy(noise(24000))[None]
    theirs = torchaudio.transforms.MelSpectrogram(
        24000, 1024, 800, 256, n_mels=100, power=2.0, normalized=True, pad_mode="constant"
    )(wave)[0].numpy()
    np.testing.assert_allclose(mel_spectrogram(wave, config)[0].numpy(), log_of(theirs, config), atol=1e-4)


def test_items_padded_with_zeros_are_what_they_are_alone():
    config = PRESETS["wavernn_22k_80"].replace(pad_mode="constant")
    wave = torch.from_numpy(np.stack([noise(22050, seed=0), noise(22050, seed=1)]))  # the second goes on after its end
    both = mel_spectrogram(wave, config, torch.tensor([wave.shape[1], 4001]))
    alone = mel_spectrogram(wave[1:, :4001], config)[0]
    torch.testing.assert_close(both[1, :, : alone.shape[1]], alone, atol=1e-5, rtol=0)


def test_a_long_item_in_blocks_is_its_frames_one_by_one():
    config = PRESETS["hifigan_22k_80"]
    wave = torch.from_numpy(noise(22050, 8.0))[None]  # 689 frames, in blocks of 512 a thread
    around = (config.n_fft - config.hop_length) // 2
    made = mel_spectrogram(wave, config)
    for frame in (0, 255, 256, 511, 512, 688):
        near = wave[:, max(0, frame * 256 - 2 * around) : frame * 256 + 256 + 2 * around]
        at = min(frame, 2 * around // 256)
        torch.testing.assert_close(mel_spectrogram(near, config)[..., at], made[..., frame], atol=1e-4, rtol=0)


def test_modes_of_the_caller_change_nothing():
    config = MelConfig.preset("hifigan_22k_80").replace(n_mels=77)  # in no other test's cache
    wave = torch.from_numpy(noise(22050))[None]
    with torch.inference_mode():
        first = mel_spectrogram(wave, config)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mel_spectrogram(wave, config), first)
    grown = wave.clone().requires_grad_()
    mel_spectrogram(grown, config).sum().backward()  # refused for filters made in inference mode
    assert mel_spectrogram(wave.bfloat16(), config).dtype == torch.float32


@pytest.mark.parametrize("name", PRESETS)
def test_the_mel_that_vocoders_train_on_has_a_frame_for_each_whole_hop(name):
    config = PRESETS[name]
    samples = 8192
    wave = torch.from_numpy(noise(config.sample_rate, seconds=1))[None, :samples]
    made = hop_aligned_mel(wave, config)
    assert made.shape == (1, config.n_mels, samples // config.hop_length)
    assert torch.equal(made, mel_spectrogram(wave, config)[..., : made.shape[2]])
    both = hop_aligned_mel(wave.expand(2, -1), config, torch.tensor([samples, 5000]))
    count = 5000 // config.hop_length
    assert both[1, :, count - 1].any() and not both[1, :, count:].any()


@pytest.mark.parametrize("name", PRESETS)
def test_the_first_frame_of_a_mel_is_centred_where_the_convention_says(name):
    config = PRESETS[name].replace(log="ln", floor=1e-12, epsilon=0.0)
    wave = torch.zeros(1, 20 * config.hop_length + config.n_fft)
    frame = 8
    wave[0, round((config.first_centre + frame * config.hop_length / config.sample_rate) * config.sample_rate)] = 1.0
    assert int(mel_spectrogram(wave, config)[0].mean(0).argmax()) == frame


@pytest.mark.parametrize("name", PRESETS)
def test_the_gradient_of_silence_is_finite(name):
    wave = torch.zeros(1, 8000, requires_grad=True)
    mel_spectrogram(wave, PRESETS[name]).sum().backward()
    assert torch.isfinite(wave.grad).all()


@pytest.mark.parametrize("name", PRESETS)
def test_silence_is_finite(name):
    config = PRESETS[name]
    assert torch.isfinite(mel_spectrogram(torch.zeros(1, config.sample_rate // 4), config)).all()


@pytest.mark.parametrize(
    ("wave", "message"),
    [(torch.zeros(1000), "shape"), (torch.zeros(1, 10), "too few"), (torch.zeros(0, 1000), "no audio"),
     (torch.zeros(1, 2000, dtype=torch.int16), "int16")],
)  # fmt: skip
def test_wrong_waves_have_a_reason(wave, message):
    with pytest.raises(AudioError, match=message):
        mel_spectrogram(wave, PRESETS["hifigan_22k_80"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"fmax": 20000}, "fmax"), ({"win_length": 4096}, "win_length"), ({"hop_length": 4096}, "hop_length"),
     ({"fmin": 9000}, "fmin"),
     ({"n_mels": 0}, "n_mels"), ({"log": "log2"}, "log")],
)  # fmt: skip
def test_impossible_conventions_name_the_field(changes, message):
    with pytest.raises(ValueError, match=message):
        PRESETS["hifigan_22k_80"].replace(**changes)


def test_two_conventions_are_the_same_only_if_every_field_is():
    one, other = PRESETS["hifigan_22k_80"], PRESETS["tacotron2_22k_80"]
    assert one.differences(one) == {} and one != other
    assert one.differences(other) == {"epsilon": (1e-9, 0.0), "padding": ("same", "center")}
    with pytest.raises(AudioError, match=r"epsilon: 1e-09 and 0\.0; padding: same and center"):
        one.require_same(other)
    assert PRESETS["bigvgan_24k_100"] == MelConfig.preset("bigvgan_24k_100").replace(fmax=12000)


def test_the_extractor_is_found_by_name_and_knows_its_frames():
    component = amphion.get("features", "mel")
    extractor = component(component.Config(mel="bigvgan_24k_100"))
    assert (extractor.sample_rate, extractor.dim) == (24000, 100)
    assert extractor.frame_shift == pytest.approx(256 / 24000)
    assert extractor.extract(torch.zeros(2, 24000)).shape == (2, 100, 93)
