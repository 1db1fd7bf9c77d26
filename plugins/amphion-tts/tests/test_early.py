"""The beginning of a sentence is decoded before its rest: the same audio, and less work before the first of it."""

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core.api import Audio, record
from amphion_core.registry import get
from amphion_tts import early, speaking
from amphion_tts.early import in_two

TEXT = "A sentence that is long enough to be cut in two parts. And another one."


@pytest.fixture
def short_parts(monkeypatch):
    """Parts of ten frames of the tiny networks."""
    monkeypatch.setattr(early, "FIRST", 10 * 4 / 22050)


@pytest.mark.parametrize("name", ["v1", "v2", "v3"])
def test_the_context_of_a_generator_is_all_that_a_frame_depends_on(name):
    card = amphion.build(f"vocoder/hifigan@{name}", channels=32).eval()
    torch.manual_seed(0)
    mel = torch.randn(1, card.config.mel.n_mels, 4 * card.context)
    changed = mel.clone()
    changed[..., 3 * card.context :] += 10
    end = 2 * card.context * card.config.mel.hop_length
    one, other = card.vocode(mel), card.vocode(changed)
    torch.testing.assert_close(one[:, :end], other[:, :end], rtol=0, atol=1e-6)
    assert not torch.allclose(one[:, end:], other[:, end:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 40, 200])
def test_two_parts_are_the_whole(frames, short_parts):
    net = amphion.build("vocoder/hifigan", **get("models", "vocoder/hifigan").example_config().model_dump()).eval()
    mel, mels = torch.randn(1, 4, frames), []
    parts = list(in_two(lambda x: mels.append(x) or net.vocode(x), mel, context=net.context, hop=4, rate=22050))
    assert len(parts) == (2 if frames == 200 else 1)
    torch.testing.assert_close(torch.cat(parts, 1), net.vocode(mel), rtol=0, atol=1e-6)
    assert frames < 200 or mels[0].shape[2] == 10 + net.context


def test_early_audio_of_a_text_is_the_audio_of_the_text(voice, short_parts):
    task = amphion.task("tts", model=str(voice))
    request = task.request(text=TEXT, controls={"length_scale": 4})
    parts, whole = list(task.stream_early(request)), task.generate(request)
    assert len(parts) > len(list(task.stream(request)))
    assert len(parts[0].samples) == 40
    joined = Audio.concatenate(parts).samples
    assert joined.shape == whole.samples.shape
    np.testing.assert_allclose(joined, whole.samples, rtol=0, atol=1e-5)
    with record():  # a page about the model shows a whole sentence
        assert len(list(task.stream_early(request))) < len(parts)


def test_a_mel_is_vocoded_in_parts_too(short_parts):
    net = get("models", "tts/fastspeech2")
    torch.manual_seed(0)
    vocoder = amphion.build("vocoder/hifigan", **get("models", "vocoder/hifigan").example_config().model_dump())
    made = type("Made", (), {"lengths": torch.tensor([200]), "mel": torch.randn(1, 4, 210), "wave": None, "f0": None})
    voice = speaking.Voice(net, vocoder.eval(), None, 22050)
    first, rest = list(speaking._wave_parts(voice, made, 0))
    whole = vocoder.vocode(made.mel[..., :200])[0].numpy()
    assert len(first) == 40
    np.testing.assert_allclose(np.concatenate([first, rest]), whole, rtol=0, atol=1e-5)
