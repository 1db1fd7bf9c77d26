"""Griffin-Lim and copy synthesis: the mel comes back, in every convention, and as well as librosa's."""

import numpy as np
import pytest
import soundfile
import torch

import amphion_core as amphion
from amphion_core.api import Audio, MelConfig
from amphion_core.cli.main import main
from amphion_core.errors import AudioError
from amphion_core.features.mel import mel_spectrogram


@pytest.fixture(scope="module")
def speech(data_pack):
    return Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[0])


def convergence(net, wave, mel):
    """Distance of the mel magnitudes from the given ones, relative; 0 is perfect."""
    target, found = mel.exp(), mel_spectrogram(net.vocode(mel, seed=0), net.config.mel)[..., : mel.shape[2]].exp()
    return float((found - target[..., : found.shape[2]]).norm() / target.norm())


@pytest.mark.parametrize("preset", ["hifigan_22k_80", "tacotron2_22k_80", "wavernn_22k_80", "melgan_22k_80"])
def test_the_mel_comes_back(speech, preset):
    mel = MelConfig.preset(preset)
    net = amphion.build("vocoder/griffin_lim", mel=preset).for_inference()
    features = mel_spectrogram(torch.from_numpy(speech.samples)[None], mel)
    wave = net.vocode(features, seed=0)
    assert wave.shape[1] == features.shape[2] * mel.hop_length
    again = mel_spectrogram(wave, mel)[..., : features.shape[2]]
    loud = features[..., : again.shape[2]] > features.median()
    assert float((again - features[..., : again.shape[2]])[loud].abs().mean()) < 0.3 * float(features.std())


def test_momentum_is_at_least_as_good_as_librosa(speech):
    import librosa

    mel = MelConfig.preset("tacotron2_22k_80").replace(n_mels=512, fmax=None)
    magnitude = np.abs(librosa.stft(speech.samples, n_fft=1024, hop_length=256, pad_mode="reflect"))
    wave = librosa.griffinlim(magnitude, n_iter=32, hop_length=256, n_fft=1024, momentum=0.99, random_state=0)
    again = np.abs(librosa.stft(wave, n_fft=1024, hop_length=256, pad_mode="reflect"))[:, : magnitude.shape[1]]
    theirs = np.linalg.norm(again - magnitude[:, : again.shape[1]]) / np.linalg.norm(magnitude)
    net = amphion.build("vocoder/griffin_lim", mel=mel, iterations=32).for_inference()
    made = net.vocode(mel_spectrogram(torch.from_numpy(speech.samples)[None], mel), seed=0)[0].numpy()
    again = np.abs(librosa.stft(made, n_fft=1024, hop_length=256, pad_mode="reflect"))
    size = min(again.shape[1], magnitude.shape[1])
    ours = np.linalg.norm(again[:, :size] - magnitude[:, :size]) / np.linalg.norm(magnitude)
    assert ours < theirs + 0.05  # ours also inverts a filter bank first


def test_silence_stays_silent():
    net = amphion.build("vocoder/griffin_lim").for_inference()
    assert float(net.vocode(torch.full((1, 80, 20), -11.6), seed=0).abs().max()) == 0


def test_another_seed_is_another_phase():
    net = amphion.build("vocoder/griffin_lim", iterations=2).for_inference()
    mel = torch.randn(1, 80, 10) - 4
    assert torch.equal(net.vocode(mel, seed=1), net.vocode(mel, seed=1))
    assert not torch.equal(net.vocode(mel, seed=1), net.vocode(mel, seed=2))


def test_the_command_vocodes_a_file_and_a_folder(speech, tmp_path, capsys):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    speech.save(tmp_path / "in" / "a.wav")
    speech.resample(16000).save(tmp_path / "in" / "deep" / "b.flac")
    assert main(["vocode", str(tmp_path / "in" / "a.wav"), "-o", str(tmp_path / "one.wav")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("one.wav")
    assert soundfile.info(tmp_path / "one.wav").duration == pytest.approx(speech.duration, abs=256 / 22050)
    (tmp_path / "in" / "broken.wav").write_bytes(b"RIFF....")
    assert main(["vocode", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 1
    assert "broken.wav" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.wav")) == ["a.wav", "b.wav"]


def test_a_recording_is_never_overwritten(speech, tmp_path, capsys):
    Audio(speech.samples[:8000], 22050).save(tmp_path / "a.wav")
    before = (tmp_path / "a.wav").read_bytes()
    for source in (tmp_path, tmp_path / "a.wav"):
        assert main(["vocode", str(source), "-o", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert "a.wav would overwrite" in said and "a.wav, which is read" in said
    assert (tmp_path / "a.wav").read_bytes() == before


def test_the_request_holds_the_seed(speech):
    task = amphion.task("vocoder", model="vocoder/griffin_lim")
    audio = Audio(speech.samples[:8000], 22050)
    one, same, other = (task.generate(task.request(audio=audio, seed=seed)).samples for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(one, task.generate(audio).samples)
    assert not np.array_equal(one, other)


def test_long_audio_in_chunks_equals_one_piece(monkeypatch):
    from amphion_vocoders import chunks as module

    torch.manual_seed(0)
    task = amphion.task("vocoder")
    task.net = amphion.build("vocoder/hifigan@v2").for_inference()
    audio = Audio(np.random.default_rng(0).standard_normal(256 * 200).astype(np.float32) * 0.1, 22050)
    whole = task.generate(audio)
    monkeypatch.setattr(module, "CHUNK", 48)
    pieces = list(task.stream(audio))
    assert len(pieces) == 5
    np.testing.assert_allclose(Audio.concatenate(pieces).samples, whole.samples, atol=1e-5)


def test_chunks_of_griffin_lim_join_without_a_click(monkeypatch):
    from amphion_vocoders import chunks as module

    monkeypatch.setattr(module, "CHUNK", 80)
    task = amphion.task("vocoder")
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(256 * 240) / 22050).astype(np.float32)
    pieces = list(task.stream(Audio(tone, 22050)))
    steps = np.abs(np.diff(Audio.concatenate(pieces).samples))
    joints = np.cumsum([len(piece.samples) for piece in pieces])[:-1] - 1
    assert len(joints) == 2 and steps[joints].max() <= steps[5000:15000].max()


def test_too_short_audio_and_a_missing_file_are_errors(tmp_path, capsys):
    with pytest.raises(AudioError, match="too short"):
        amphion.task("vocoder").generate(Audio(np.zeros(100, np.float32), 22050))
    assert main(["vocode", str(tmp_path / "no.wav"), "-o", str(tmp_path / "out.wav")]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_a_checkpoint_for_a_vocoder_without_weights_is_refused(tmp_path, capsys):
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pt")
    assert main(["convert", "vocoder/griffin_lim", str(tmp_path / "a.pt"), "-o", str(tmp_path / "out")]) == 2
    assert "vocoder/griffin_lim reads no published checkpoints" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
