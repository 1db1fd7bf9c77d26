"""The task tts: whole texts, streaming, controls, bad input. A tiny untrained VITS stands in for a voice."""

import json

import numpy as np
import pytest

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_core.cli.main import main
from amphion_core.errors import AmphionError, DataError, RecipeError
from amphion_core.registry import get
from amphion_tts import TTSTask

QUIET = {"noise_scale": 0.0, "duration_noise_scale": 0.0}


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
    fields = {"text": "One. Two.", "controls": {"noise_scale": 0.0, "duration_noise_scale": 0.0}}
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
    with pytest.raises(DataError, match="has no speaker '7'"):
        task.generate(_request(speaker=7))
    assert task.generate(_request(speaker="0", controls=QUIET)).duration > 0  # one speaker without a name is number 0


def test_speakers_are_chosen_by_name(two_speakers):
    task = amphion.task("tts", model=str(two_speakers))
    ann, ben, again = (task.generate(_request(speaker=name, controls=QUIET)).samples for name in ("ann", "ben", "ann"))
    np.testing.assert_array_equal(ann, again)
    assert ann.shape != ben.shape or not np.array_equal(ann, ben)
    with pytest.raises(DataError, match="2 speakers, and none is chosen") as caught:
        task.generate("Hello.")
    assert "ann, ben" in caught.value.hint
    with pytest.raises(DataError, match="has no speaker 'annn'") as caught:
        task.generate(_request(speaker="annn"))
    assert caught.value.hint == "did you mean ann?"


@pytest.mark.parametrize("name", ["tts", "vocoder"])
def test_every_field_of_a_request_is_described_for_pages_and_servers(name):
    fields = get("tasks", name).Request.model_json_schema()["properties"]
    assert fields and all(field["description"] for field in fields.values())


def test_every_wrong_field_is_reported_at_once():
    with pytest.raises(RecipeError, match="2 problems") as caught:
        TTSTask.request(text="a", pause=-1, sed=3)
    assert "did you mean seed?" in str(caught.value) and "pause" in str(caught.value)
    assert caught.value.hint == "amphion info tasks:tts lists the fields"


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({"length_scal": 2}, "length_scal: no such field; did you mean length_scale"),
        ({"length_scale": 0}, "length_scale: input should be greater than or equal to 0.25, got 0"),
        ({"noise_scale": "loud"}, "noise_scale: input should be a valid number"),
    ],
)
def test_a_wrong_control_is_an_error_that_lists_the_models_controls(task, controls, message, monkeypatch):
    monkeypatch.setattr(type(task.net), "synthesize", lambda *a, **k: pytest.fail("spoke too early"))
    with pytest.raises(RecipeError, match=message) as caught:
        task.generate(_request(controls=controls))
    assert "length_scale, noise_scale, duration_noise_scale" in caught.value.hint


def test_a_control_changes_the_speech(task):
    short, long = (task.generate(_request(controls=QUIET | {"length_scale": scale})).duration for scale in (1, 4))
    assert long > 2 * short


def test_a_prompt_for_a_voice_that_cannot_imitate_is_refused(task):
    with pytest.raises(DataError, match="cannot imitate a recording"):
        task.generate(_request(prompt=Audio(np.zeros(10, np.float32), 16000)))


def test_a_vocoder_for_a_voice_that_makes_waves_is_refused(voice):
    with pytest.raises(AmphionError, match="makes waves itself"):
        amphion.task("tts", model=str(voice), vocoder="vocoder/griffin_lim")


def test_ten_thousand_characters_are_spoken_piece_by_piece(task):
    text = "word " * 2000
    assert len(task.plan(text).pieces) > 20
    assert next(task.stream(text)).duration > 0


def test_the_command_speaks_by_name_and_with_controls(two_speakers, tmp_path, capsys):
    words = ["tts", "Hello.", "--model", str(two_speakers), "-o", str(tmp_path / "a.wav"), "--speaker"]
    quiet = ["--control", "noise_scale=0", "--control", "duration_noise_scale=0"]
    seconds = []
    for scale in ("1", "4"):
        assert main([*words, "ben", *quiet, "--control", f"length_scale={scale}", "--json"]) == 0
        seconds.append(json.loads(capsys.readouterr().out)["duration"])
    assert seconds[1] > 2 * seconds[0]
    assert main([*words, "bem"]) == 2
    assert "hint: did you mean ben?" in capsys.readouterr().err
    assert main([*words, "ben", "--control", "speed=2"]) == 2
    error = capsys.readouterr().err
    assert "speed: no such field" in error and "controls of this model: length_scale" in error
    assert main([*words, "ben", "--control", "length_scale"]) == 2
    assert "'length_scale' is not NAME=VALUE" in capsys.readouterr().err


def test_a_text_and_a_file_at_once_or_neither_is_an_error(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("Hello.")
    assert main(["tts", "Hello.", "--file", str(tmp_path / "a.txt")]) == 2
    assert "only one can be spoken" in capsys.readouterr().err
    assert main(["tts"]) == 2
    assert "no text is given" in capsys.readouterr().err


def test_info_shows_a_models_controls_and_a_tasks_request(capsys):
    assert main(["info", "tts/vits"]) == 0
    text = capsys.readouterr().out
    assert "controls" in text and "factor on all durations; 2 is half the speed, 0.5 is double; 0.25 to 10" in text
    assert main(["info", "tasks:tts"]) == 0
    text = capsys.readouterr().out
    assert "request" in text and "silence between sentences, seconds; 0 to 10" in text


def _request(**fields):
    return TTSTask.request(**({"text": "Hello there."} | fields))


def test_a_seed_that_no_generator_takes_is_an_error(task):
    with pytest.raises(RecipeError, match="seed: "):
        task.request(text="a", seed=10**23)


@pytest.mark.parametrize(("name", "message"), [("", "the name of the weights is empty"), ("tts/vits@", "tts/vits@")])
def test_an_empty_name_or_tag_is_an_error_and_not_the_default_voice(name, message, tmp_path, capsys):
    assert main(["tts", "hello", "--model", name, "-o", str(tmp_path / "x.wav")]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", ["a\0b", "caf\udce9", "\ud800 lone"])
def test_what_is_no_text_is_refused_in_python_too(task, text):
    with pytest.raises(DataError, match="the text has a"):
        task.generate(text)


def test_the_sentences_follow_the_rules_of_the_voices_language(save_voice, tmp_path):
    folder = save_voice(
        tmp_path / "de", n_speakers=1,
        frontend={"name": "characters", "symbols": [*"_ .0123456789abcdefghijklmnopqrstuvwxyz"], "language": "de"},
    )  # fmt: skip
    german = amphion.task("tts", model=str(folder))
    pieces = german.plan("Am 3. Mai kam er. Dann ging er.").pieces
    assert [piece.text for piece in pieces] == ["Am 3. Mai kam er.", "Dann ging er."]


@pytest.mark.parametrize("name", ["vocoder/hifigan", "vocoder/griffin_lim", "discriminator/mpd", "vocoder/hifigan@v2"])
def test_a_model_of_another_family_is_one_clear_sentence(name, tmp_path, capsys):
    assert main(["tts", "hello", "--model", name, "-o", str(tmp_path / "x.wav")]) == 2
    error = capsys.readouterr().err
    assert error == f"error: {name} is not a model for text to speech\nhint: amphion list models 'tts/*'\n"


def test_a_sentence_of_many_symbols_is_spoken_in_parts(task, monkeypatch):
    whole = "ab cd " * 60
    letters = [letter for letter in whole if letter != " "]
    monkeypatch.setattr("amphion_tts.pieces.TOKEN_LIMIT", 50)
    rows = [piece.ids for piece in task.plan(whole).pieces]
    assert len(rows) > 4 and all(len(row) <= 2 * 50 + 1 for row in rows)  # with a blank around each symbol
    symbols = task.frontend.config.symbols
    assert [symbols[one] for row in rows for one in row if symbols[one] not in "_ "] == letters
