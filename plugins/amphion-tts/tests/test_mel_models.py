"""The task with models whose output is a mel: which vocoder follows, F0 for those that need it, and prompts."""

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

import amphion_core as amphion
from amphion_core import registry, weights
from amphion_core.api import (
    Audio,
    BaseConfig,
    FrontendPart,
    Mel,
    MelConfig,
    Synthesis,
    TextToSpeech,
    Vocoder,
)
from amphion_core.cli.main import main
from amphion_core.errors import AudioError, DataError

MEL = MelConfig.preset("bigvgan_24k_100")
FRAMES = 20  # frames of each token


class MelTTS(TextToSpeech):
    """Each token becomes some frames of one spectrum."""

    class Config(BaseConfig):
        """Frontend and mel."""

        frontend: FrontendPart = Field(default="characters", description="text to symbols")
        mel: Mel = Field(default=MEL, description="mel of the output")

    class Controls(BaseConfig):
        """How fast."""

        speed: float | None = Field(default=None, gt=0, le=4, description="factor on the speed")

    config: Config
    output = "mel"

    def __init__(self, config):
        super().__init__(config)
        self.spectra = nn.Embedding(len(config.frontend.config.symbols), config.mel.n_mels)
        with torch.no_grad():
            self.spectra.weight.mul_(0.5).sub_(3)

    @classmethod
    def example_config(cls):
        """All defaults."""
        return cls.Config()

    def example_inputs(self):
        """One text."""
        return {"ids": torch.tensor([[1, 2]])}

    def forward(self, ids):
        """(B, L) -> (B, F, L)."""
        return self.spectra(ids).mT

    @torch.inference_mode()
    def synthesize(self, ids, lengths, speaker=None, *, prompt=None, seed=None, controls=None):
        """Each token for the same number of frames."""
        count = round(FRAMES / ((controls.speed if controls else None) or 1))
        mel = self(ids).repeat_interleave(count, 2)
        f0 = torch.full((len(ids), mel.shape[2]), 150.0)
        return Synthesis(lengths * count, mel=mel, f0=f0, durations=torch.full_like(ids, count))


class PromptedTTS(MelTTS):
    """Says how long its prompt was, in frames."""

    takes_prompt = True
    needs_prompt_text = False

    @torch.inference_mode()
    def synthesize(self, ids, lengths, speaker=None, *, prompt=None, seed=None, controls=None):
        """As many frames as the prompt has, and one for each symbol of its text."""
        count = int(prompt.lengths[0]) // self.config.mel.hop_length
        count += 0 if prompt.id_lengths is None else int(prompt.id_lengths[0])
        return Synthesis(torch.tensor([count]), mel=torch.full((1, self.config.mel.n_mels, count), -5.0))


class PitchVocoder(Vocoder):
    """Makes a sine of the F0 that it is given."""

    class Config(BaseConfig):
        """Which mel."""

        mel: Mel = Field(default=MEL, description="mel of the input")

    config: Config
    needs_f0 = True
    needs_weights = False

    @classmethod
    def example_config(cls):
        """All defaults."""
        return cls.Config()

    def example_inputs(self):
        """One mel with F0."""
        return {"mel": torch.zeros(1, 100, 4), "f0": torch.full((1, 4), 100.0)}

    def forward(self, mel, f0=None):
        """(B, F, N) -> (B, 1, T)."""
        return self.vocode(mel, f0)[:, None]

    def vocode(self, mel, f0=None, *, seed=None):
        """A sine. Raises AudioError without F0."""
        if f0 is None:
            raise AudioError("this vocoder needs F0")
        assert f0.shape == (len(mel), mel.shape[2])
        phase = f0.repeat_interleave(self.config.mel.hop_length, 1).double().cumsum(1) / self.config.mel.sample_rate
        return torch.sin(2 * torch.pi * phase).float()


def ref(name, component):
    target = f"{component.__module__}:{component.__name__}"
    return registry.ComponentRef("models", name, target, "amphion-mine", "1", api="amphion_core.api:v1")


@pytest.fixture(autouse=True)
def plugin():
    """The three networks of this file have names."""
    added = (ref("tts/mine", MelTTS), ref("tts/prompted", PromptedTTS), ref("vocoder/zz_pitch", PitchVocoder))
    with registry.temporary(*added):
        yield


@pytest.fixture
def voice(plugin, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return weights.save(MelTTS(MelTTS.Config()), tmp_path / "voice")


def test_the_vocoder_without_weights_is_built_for_the_mel_of_the_model(voice):
    for name in ("vocoder/griffin_lim", None):
        task = amphion.task("tts", model=str(voice), vocoder=name)
        audio = task.generate("Hello.")
        assert task.vocoder.config.mel == MEL and audio.sample_rate == 24000
        symbols = len(task.frontend.ids(task.frontend.tokens("Hello.")))
        assert len(audio.samples) == symbols * FRAMES * MEL.hop_length
        assert float(np.abs(audio.samples).max()) > 0.01


def test_the_command_takes_a_vocoder_without_weights(voice, tmp_path, capsys):
    words = ["tts", "Hello.", "--model", str(voice), "--vocoder", "vocoder/griffin_lim", "-o", str(tmp_path / "a.wav")]
    assert main(words) == 0
    whole = Audio.load(tmp_path / "a.wav")
    assert main([*words, "--control", "speed=2"]) == 0
    assert Audio.load(tmp_path / "a.wav").duration == pytest.approx(whole.duration / 2)
    assert main([*words, "--control", "speed=5"]) == 2
    assert "speed: input should be less than or equal to 4" in capsys.readouterr().err


def test_the_command_notes_that_no_trained_vocoder_fits_the_voice(voice, tmp_path, capsys):
    words = ["tts", "Hello.", "--model", str(voice), "-o", str(tmp_path / "a.wav")]
    assert main(words) == 0
    assert "note: no trained vocoder is installed for general use, so vocoder/griffin_lim" in capsys.readouterr().err
    assert main([*words, "--vocoder", "vocoder/griffin_lim"]) == 0
    assert "note:" not in capsys.readouterr().err


def test_a_vocoder_of_another_convention_is_refused_with_the_fields_that_differ(voice, tmp_path):
    net = amphion.build("vocoder/hifigan", **amphion.get("models", "vocoder/hifigan").example_config().model_dump())
    folder = weights.save(net, tmp_path / "vocoder")
    with pytest.raises(AudioError, match="sample_rate: 24000 and 22050"):
        amphion.task("tts", model=str(voice), vocoder=str(folder))


def test_a_vocoder_that_needs_f0_gets_that_of_the_model(voice):
    audio = amphion.task("tts", model=str(voice), vocoder="vocoder/zz_pitch").generate("Hello.")
    spectrum = np.abs(np.fft.rfft(audio.samples))
    assert spectrum.argmax() * 24000 / len(audio.samples) == pytest.approx(150, abs=2)


def test_copy_synthesis_tracks_f0_for_a_vocoder_that_needs_it():
    pytest.importorskip("pyworld", reason='needs pyworld: pip install "amphion-core[f0]"')
    harmonics = sum(np.sin(2 * np.pi * 200 * k * np.arange(24000) / 24000) / k for k in range(1, 6))
    tone = Audio((0.2 * harmonics).astype(np.float32), 24000)
    made = amphion.task("vocoder", model="vocoder/zz_pitch").generate(tone)
    middle = made.samples[6000:18000]
    assert np.abs(np.fft.rfft(middle)).argmax() * 24000 / len(middle) == pytest.approx(200, abs=4)


def test_a_zero_shot_model_gets_its_prompt_at_its_own_rate_with_the_symbols_of_its_text(plugin, tmp_path):
    folder = weights.save(PromptedTTS(PromptedTTS.Config()), tmp_path / "prompted")
    Audio(np.full(16000, 0.1, np.float32), 16000).save(tmp_path / "prompt.wav")
    task = amphion.task("tts", model=str(folder), vocoder="vocoder/griffin_lim")
    with pytest.raises(DataError, match="needs a recording of the voice to imitate"):
        task.generate("Hello.")
    bare = task.generate(task.request(text="Hello.", prompt=tmp_path / "prompt.wav"))
    assert len(bare.samples) == 24000 // 256 * 256  # one second, in whole frames of the model's rate
    words = ["tts", "Hello.", "--model", str(folder), "--prompt", str(tmp_path / "prompt.wav"), "--prompt-text", "ab"]
    assert main([*words, "--vocoder", "vocoder/griffin_lim", "-o", str(tmp_path / "out.wav")]) == 0
    assert len(Audio.load(tmp_path / "out.wav").samples) == len(bare.samples) + 5 * 256  # a, b and three blanks
