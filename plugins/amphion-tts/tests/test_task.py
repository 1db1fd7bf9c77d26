"""The task tts: whole texts, streaming, controls, bad input. A tiny untrained VITS stands in for a voice."""

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import weights
from amphion_core.errors import AmphionError, DataError, RecipeError
from amphion_core.registry import get

LETTERS = ("_", *" .,!?'-", *"abcdefghijklmnopqrstuvwxyz")


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """A weights folder of a tiny VITS that reads plain characters."""
    vits = get("models", "tts/vits")
    fields = vits.example_config().model_dump(mode="json")
    fields |= {
        "frontend": {"name": "characters", "symbols": LETTERS, "blank": "_"},
        "vocabulary": None,
        "n_speakers": 1,
    }
    torch.manual_seed(0)
    return weights.save(vits(vits.Config(**fields)), tmp_path_factory.mktemp("voice") / "tiny")


@pytest.fixture(scope="module")
def task(voice):
    return amphion.task("tts", model=str(voice))


def test_streaming_gives_the_same_audio_as_generating(task):
    text = "One sentence. Another one! And a third?"
    pieces = list(task.stream(text))
    assert len(pieces) == 3
    np.testing.assert_array_equal(np.concatenate([piece.samples for piece in pieces]), task.generate(text).samples)


def test_the_first_sentence_is_spoken_before_the_second_is_computed(task, monkeypatch):
    spoken = []
    original = type(task.net).synthesize
    monkeypatch.setattr(type(task.net), "synthesize", lambda *a, **k: spoken.append(1) or original(*a, **k))
    next(task.stream("One sentence. Another one."))
    assert len(spoken) == 1


def test_the_same_seed_gives_the_same_audio_and_another_seed_another(task):
    one, same, other = (task.generate(_request(seed=seed)).samples for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_the_pause_stands_between_sentences_only(task):
    fields = {"text": "One. Two.", "noise_scale": 0.0, "duration_noise_scale": 0.0}
    without, paused = (task.generate(_request(**fields, pause=pause)).samples for pause in (0.0, 0.5))
    assert len(paused) - len(without) == round(0.5 * task.sample_rate)


@pytest.mark.parametrize("text", ["", "   \n", "...", "🎉🎉"])
def test_nothing_to_say_is_an_error_with_a_hint(task, text):
    with pytest.raises(DataError, match="nothing to say") as caught:
        task.generate(text)
    assert caught.value.hint


def test_a_letter_the_voice_does_not_know_is_named_before_anything_is_spoken(task, monkeypatch):
    monkeypatch.setattr(type(task.net), "synthesize", lambda *a, **k: pytest.fail("spoke too early"))
    with pytest.raises(DataError, match="'ж'"):
        list(task.stream("A good sentence. Then жук."))


def test_a_speaker_the_voice_does_not_have_is_refused(task):
    with pytest.raises(DataError, match="there is no speaker 7"):
        task.generate(_request(speaker=7))


def test_every_wrong_control_is_told_at_once():
    from amphion_tts.task import request

    with pytest.raises(RecipeError, match="2 problems") as caught:
        request(text="a", length_scale=-1, sed=3)
    assert "did you mean seed?" in str(caught.value) and "length_scale" in str(caught.value)


def test_a_vocoder_for_a_voice_that_makes_waves_is_refused(voice):
    with pytest.raises(AmphionError, match="makes waves itself"):
        amphion.task("tts", model=str(voice), vocoder="vocoder/griffin_lim")


def test_ten_thousand_characters_are_spoken_piece_by_piece(task):
    text = "word " * 2000
    assert len(task.sentences(text)) > 20
    assert next(task.stream(text)).duration > 0


def _request(**fields):
    from amphion_tts.task import request

    return request(**({"text": "Hello there."} | fields))
