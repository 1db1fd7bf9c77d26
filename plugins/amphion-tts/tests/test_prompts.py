"""Speech with a prompt: what is said of a recording, its text, stored voices, tables of prompts, and models without."""

import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import amphion_core as amphion
from amphion_core import registry, weights
from amphion_core.api import Audio, SpeechRecognizer
from amphion_core.cli.main import main
from amphion_core.errors import AudioError, DataError
from amphion_core.registry import ComponentRef
from amphion_tts import continuation, prompts, voices
from amphion_tts.prompts import checked_prompt

ROOT = Path(__file__).parents[3]
RATE = 16000
HEARD = "what the recogniser hears"


def voice_like(seconds, *, pitch=120, seed=0):
    """Harmonics with the rhythm of syllables: a sound in each 0.5 s, with a pause of 0.15 s after it."""
    t = np.arange(round(seconds * RATE)) / RATE
    random = np.random.default_rng(seed)
    tone = sum(np.sin(2 * np.pi * pitch * k * t + random.uniform(0, 6)) / k for k in range(1, 20))
    return (0.1 * tone * ((t % 0.5) < 0.35)).astype(np.float32)


class Listener(SpeechRecognizer):
    """Hears the same words in every recording, and counts how often it was asked."""

    Config = amphion.get("recognizers", "faster_whisper").Config
    sample_rate = RATE
    asked: list = []

    def transcribe(self, audio, language):
        self.asked.append((round(audio.duration, 1), language))
        return HEARD


@pytest.fixture(scope="module", autouse=True)
def imitator(tmp_path_factory):
    """The weights folder of a model that imitates, from the plugin of the top-level tests."""
    source = str(ROOT / "tests" / "plugin_amphion_sketch" / "src")
    sys.path.insert(0, source)
    made = [
        ComponentRef(kind, name, target, "amphion-core", "0.1.0", "", "amphion_core.api:v1")
        for kind, name, target in (
            ("models", "tts/sketch_imitator", "amphion_sketch.imitator:SketchImitator"),
            ("frontends", "sketch_letters", "amphion_sketch.letters:SketchLetters"),
        )
    ]
    with registry.temporary(*made):
        model = amphion.get("models", "tts/sketch_imitator")
        yield weights.save(model(model.example_config()), tmp_path_factory.mktemp("voice") / "imitator")
    sys.path.remove(source)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """An empty working folder, and a data folder without stored voices."""
    monkeypatch.setenv("AMPHION_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prompts, "EMBEDDING", "none")  # the speaker embedding has its own test
    Listener.asked.clear()


@pytest.fixture
def listener(monkeypatch):
    """A recogniser that always hears the same."""
    monkeypatch.setattr(registry.get("recognizers", "faster_whisper"), "transcribe", Listener.transcribe)
    monkeypatch.setattr(registry.get("recognizers", "faster_whisper"), "asked", Listener.asked, raising=False)
    return Listener


@pytest.fixture
def run(capfd):
    """Runs a command; gives its exit code, output and errors."""

    def command(*words):
        code = main([str(word) for word in words])
        return code, *capfd.readouterr()

    return command


def write(path, samples, rate=RATE):
    soundfile.write(path, samples.T if samples.ndim > 1 else samples, rate)
    return path


def silence(seconds):
    return np.zeros(round(seconds * RATE), np.float32)


def opposite(seconds):
    return np.stack([voice_like(seconds), -voice_like(seconds)])


def infinite(seconds):
    samples = voice_like(seconds)
    samples[5] = np.inf
    return samples


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (silence(3), AudioError, "the prompt is silent"),
        (silence(0), AudioError, "the prompt is empty"),
        (opposite(4), AudioError, "silent when its channels are mixed, because they are opposite"),
        (infinite(4), AudioError, "not finite"),
        (voice_like(0.4), DataError, r"the prompt has 0\.\d seconds of voice, and 1 second is needed"),
        (np.concatenate([silence(9), voice_like(0.4), silence(9)]), DataError, "1 second is needed"),
    ],
)
def test_what_cannot_be_imitated_is_refused(samples, error, message):
    with pytest.raises(error, match=message) as raised:
        checked_prompt(Audio(samples, RATE))
    assert raised.value.hint


def noisy(seconds):
    return voice_like(seconds) + np.random.default_rng(1).normal(size=round(seconds * RATE)).astype(np.float32) * 0.1


@pytest.mark.parametrize(
    ("samples", "rate", "note"),
    [
        (voice_like(2), RATE, r"only 1\.\d seconds of voice"),
        (noisy(6), RATE, "noisy or has music"),
        ((voice_like(6) * 20).clip(-0.9, 0.9), RATE, "is clipped in"),
        (np.stack([voice_like(6), voice_like(6, pitch=210)]), RATE, "channels of the prompt differ"),
        (voice_like(5), 8000, "a rate of 8000 Hz"),
    ],
)
def test_what_makes_an_imitation_worse_is_said_in_one_sentence(samples, rate, note):
    (found,) = checked_prompt(Audio(samples, rate)).notes
    assert re.search(note, found), found


def test_a_good_recording_gets_no_note_and_only_loses_the_silence_around_the_voice():
    samples = np.concatenate([silence(2), voice_like(6), silence(3)])
    stereo = np.stack([samples, samples * 0.9])  # the same voice in both channels
    for recording in (samples, stereo):
        found = checked_prompt(Audio(recording, RATE), "some words")
        assert not found.notes and found.text == "some words" and not found.is_transcript
        assert found.audio.samples.ndim == 1 and 5.8 < found.audio.duration < 6.4


def test_a_long_recording_is_cut_at_a_pause_and_with_its_text_refused():
    long = Audio(voice_like(60), RATE)
    found = checked_prompt(long)
    assert 14 < found.audio.duration <= 15 and "up to a pause" in found.notes[0]
    last = found.audio.samples[-round(0.05 * RATE) :]
    assert np.abs(last).max() < 1e-3
    with pytest.raises(DataError, match="a prompt with its text may last 15"):
        checked_prompt(long, "a text of a minute")
    tone = np.sin(np.arange(20 * RATE) * 0.05).astype(np.float32) * (1 + 0.9 * np.sin(np.arange(20 * RATE) * 0.001))
    whole = checked_prompt(Audio(tone * 0.3, RATE))
    assert whole.audio.duration == pytest.approx(15, abs=0.01) and "there is no pause" in whole.notes[-1]


def test_two_voices_in_a_prompt_are_noticed(data_pack, monkeypatch):
    monkeypatch.setattr(prompts, "EMBEDDING", "resemblyzer")
    pytest.importorskip("resemblyzer", reason="the weights of the speaker embedding: pip install resemblyzer")
    clips = [
        Audio.load(path).mono().resample(RATE).samples[: 5 * RATE]
        for speaker in sorted((data_pack / "librispeech_mini").glob("[0-9]*"))[:2]
        for path in sorted(speaker.rglob("*.flac"))[:1]
    ]
    assert len(clips) == 2
    for clip in clips:
        assert not any("several voices" in note for note in checked_prompt(Audio(clip, RATE)).notes)
    both = checked_prompt(Audio(np.concatenate(clips), RATE))
    assert any("several voices" in note for note in both.notes), both.notes


def test_the_prompt_decides_the_voice_and_its_text_the_pace(imitator):
    task = amphion.task("tts", model=str(imitator))
    prompt = Audio(voice_like(4), RATE)
    fast, slow = (
        task.generate(task.request(text="hello", prompt=prompt, prompt_text=text)) for text in ("abcdefgh" * 3, "abc")
    )
    assert slow.duration > 3 * fast.duration
    other = task.generate(task.request(text="hello", prompt=Audio(voice_like(4, pitch=250), RATE), prompt_text="abc"))
    assert other.samples.shape == slow.samples.shape and not np.allclose(other.samples, slow.samples, atol=0.01)


def test_the_transcript_is_printed_and_used_for_every_sentence(imitator, listener, run):
    write("me.wav", voice_like(4))
    words = ["tts", "One here. Two here. Three here.", "--prompt", "me.wav", "--model", imitator]
    code, out, err = run(*words, "-o", "a.wav")
    assert code == 0 and "wrote a.wav" in out
    assert f'the recogniser heard in the prompt: "{HEARD}"' in err and err.count("the recogniser heard") == 1
    assert listener.asked == [(3.9, "en")] or len(listener.asked) == 1
    code, _, err = run(*words, "--prompt-text", HEARD, "-o", "b.wav")
    assert code == 0 and "the recogniser heard" not in err and len(listener.asked) == 1
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (["One.", "--prompt", "me.wav", "-o", "me.wav"], "me.wav"),
        (["One.", "--prompt", "link.wav", "-o", "me.wav"], "me.wav"),
        (["One.", "--prompt", "speech.wav"], "speech.wav"),
        (["--file", "rows.csv", "-o", "."], "me.wav"),
        (["--file", "talk.srt", "--subtitles", "talk.srt"], "talk.srt"),
    ],
)
def test_a_file_that_is_read_is_never_overwritten(words, written, imitator, run):
    write("me.wav", voice_like(4))
    before = Path("me.wav").read_bytes()
    Path("speech.wav").write_bytes(before)
    Path("link.wav").symlink_to("me.wav")
    Path("rows.csv").write_text("id,text,prompt\nme,One.,link.wav\n", encoding="utf-8")
    Path("talk.srt").write_text("One.", encoding="utf-8")
    files = sorted(Path().iterdir())
    code, _, err = run("tts", *words, "--model", imitator)
    assert code == 2 and f"{written} would overwrite" in err and ", which is read" in err and "hint: " in err
    assert sorted(Path().iterdir()) == files and Path("me.wav").read_bytes() == before


def test_without_a_recogniser_the_error_says_how_to_state_the_text(imitator, run, monkeypatch):
    write("me.wav", voice_like(4))
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    code, _, err = run("tts", "One.", "--prompt", "me.wav", "--model", imitator)
    assert code == 2 and "needs the text of the prompt" in err and "hint: --prompt-text TEXT, or pip install" in err


def test_models_say_whether_they_need_a_prompt(imitator, voice, run):
    write("me.wav", voice_like(4))
    code, _, err = run("tts", "One.", "--model", imitator)
    assert code == 2 and "needs a recording of the voice to imitate" in err and "amphion voice list" in err
    code, _, err = run("tts", "One.", "--prompt", "me.wav", "--model", voice)
    assert code == 2 and "cannot imitate a recording" in err and "tts/sketch_imitator" in err and "tts/vits" not in err


def test_a_prompt_streams(imitator, listener, run, monkeypatch):
    task = amphion.task("tts", model=str(imitator))
    request = task.request(text="One here. Two here.", prompt=Audio(voice_like(4), RATE))
    pieces = list(task.stream(request))
    assert len(pieces) == 2 and len(listener.asked) == 1
    whole = task.generate(request)
    assert np.array_equal(np.concatenate([piece.samples for piece in pieces]), whole.samples)


def test_each_row_of_a_table_may_have_its_own_prompt(imitator, run):
    folder = Path("table")
    folder.mkdir()
    write(folder / "low.wav", voice_like(4))
    write(folder / "high.wav", voice_like(4, pitch=260))
    rows = [
        "id|text|prompt|prompt_text",
        "a|Say this.|low.wav|ab cd",
        "b|Say this.|high.wav|ab cd",
        "c|Say this.|low.wav|ab cd",
    ]
    (folder / "rows.txt").write_text("\n".join(rows), encoding="utf-8")
    code, _, err = run("tts", "--file", folder / "rows.txt", "-o", "out/", "--model", imitator)
    assert code == 0, err
    a, b, c = (Audio.load(f"out/{name}.wav").samples for name in "abc")
    assert np.array_equal(a, c) and not np.allclose(a, b, atol=0.01)
    (folder / "rows.txt").write_text("\n".join(rows).replace("high.wav", "gone.wav"), encoding="utf-8")
    code, _, err = run("tts", "--file", folder / "rows.txt", "-o", "out/", "--model", imitator)
    assert code == 2 and "line 3: " in err and "gone.wav" in err


def test_the_recogniser_hears_each_prompt_of_a_table_once(imitator, listener, monkeypatch):
    low, high = (Audio(voice_like(4, pitch=pitch), RATE) for pitch in (120, 260))
    task = amphion.task("tts", model=str(imitator))
    heard = [task.plan(task.request(text="Say this.", prompt=prompt)).heard for prompt in (low, high, low, high)]
    assert heard[0] is heard[2] and heard[1] is heard[3] and len(listener.asked) == 2
    monkeypatch.setattr("amphion_tts.task.KEPT", 2)
    task.plan(task.request(text="Say this.", prompt=low, prompt_text="ab"))  # the first prompt gives way
    assert task.plan(task.request(text="Say this.", prompt=high)).heard is heard[1]
    task.plan(task.request(text="Say this.", prompt=low))
    assert len(listener.asked) == 3


def test_a_row_may_state_only_the_text_of_the_prompt_that_the_command_names(imitator, listener, run):
    write("me.wav", voice_like(4))
    Path("rows.txt").write_text("id|text|prompt_text\na|Say this.|ab cd\n", encoding="utf-8")
    code, _, err = run("tts", "--file", "rows.txt", "-o", "out/", "--prompt", "me.wav", "--model", imitator)
    assert code == 0 and not listener.asked and "recogniser" not in err


def test_a_stored_voice_is_listed_used_and_removed(imitator, run):
    write("me.wav", voice_like(4))
    code, out, err = run("voice", "add", "Anna", "me.wav", "--text", "good morning")
    assert code == 0 and "added the voice anna" in out and "only if its speaker has agreed" in err
    code, out, _ = run("voice", "list")
    assert code == 0 and out.split("\t")[0] == "anna" and "good morning" in out
    code, out, _ = run("voice", "info", "anna", "--json")
    about = json.loads(out)
    assert about["text"] == "good morning" and about["source"].endswith("me.wav") and Path(about["file"]).is_file()
    say = ["tts", "Hello.", "--model", imitator, "-o"]
    assert run(*say, "a.wav", "--prompt", "anna")[0] == 0
    assert run(*say, "b.wav", "--prompt", about["file"], "--prompt-text", "good morning")[0] == 0
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()
    code, _, err = run("voice", "add", "anna", "me.wav", "--text", "good morning")
    assert code == 2 and "a stored voice 'anna' already" in err and "amphion voice remove anna" in err
    assert run("voice", "remove", "ANNA")[0] == 0
    assert not voices.names() and not [*voices.folder().iterdir()]
    code, _, err = run(*say, "c.wav", "--prompt", "anna")
    assert code == 2 and "there is no file and no stored voice 'anna'" in err


def test_a_stored_voice_is_a_voice_of_the_task_and_is_heard_once(imitator, listener):
    voices.add("anna", Audio(voice_like(4), RATE))
    task = amphion.task("tts", model=str(imitator))
    assert task.voices() == ["anna"] and not task.is_thread_safe  # its network does not say that it is
    for _ in range(2):
        assert task.generate(task.request(text="abc", **task.voice("anna"))).duration > 0
    assert len(listener.asked) == 1
    with pytest.raises(DataError, match="no stored voice 'ana'"):
        task.voice("ana")


def test_a_name_that_a_file_and_a_voice_have_is_refused(run, imitator):
    voices.add("anna", Audio(voice_like(4), RATE), text="abc")
    write("anna.wav", voice_like(4))
    Path("anna").write_bytes(Path("anna.wav").read_bytes())
    with pytest.raises(DataError, match="is a file here and also a stored voice"):
        voices.read_prompt("anna")
    assert voices.read_prompt("./anna").duration == pytest.approx(4)
    Path("anna").unlink()
    assert voices.read_prompt("Anna").name == "anna"
    with pytest.raises(DataError, match="no stored voice 'ana'") as raised:
        voices.read_prompt("ana")
    assert "is it anna?" in raised.value.hint


@pytest.mark.parametrize("name", ["", "-x", "../up", "a/b", ".hidden", "a.wav", "x" * 65, "a b", "_x"])
def test_a_name_that_could_be_a_path_is_refused(name):
    with pytest.raises(DataError, match="cannot be the name of a voice"):
        voices.add(name, Audio(voice_like(2), RATE))
    assert not voices.folder().exists()


def test_a_voice_is_stored_whole_or_not_at_all(monkeypatch):
    audio = Audio(voice_like(2), RATE)
    monkeypatch.setattr(voices, "_flush", lambda path: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(Exception, match="the disk is full"):
        voices.add("anna", audio)
    assert not voices.names() and not [*voices.folder().iterdir()]
    monkeypatch.undo()


@pytest.mark.parametrize("damage", [lambda f: f.write_text("{"), lambda f: f.write_text("{}"), lambda f: f.unlink()])
def test_a_damaged_voice_is_named_and_can_be_removed(damage, run):
    voices.add("anna", Audio(voice_like(2), RATE))
    voices.add("ben", Audio(voice_like(2), RATE))
    damage(voices.folder() / "anna" / "voice.json")
    with pytest.raises(DataError, match="stored voice 'anna' is damaged"):
        voices.load("anna")
    code, out, err = run("voice", "list")
    assert code == 0 and out.startswith("ben\t") and "'anna' is damaged" in err
    assert run("voice", "remove", "anna")[0] == 0 and voices.names() == ["ben"]


def test_a_changed_recording_is_no_longer_the_voice():
    voices.add("anna", Audio(voice_like(2), RATE))
    write(voices.folder() / "anna" / "recording.wav", voice_like(2, pitch=300))
    with pytest.raises(DataError, match="damaged"):
        voices.load("anna")


def test_the_folder_of_voices_follows_the_environment(monkeypatch, tmp_path):
    assert voices.folder() == tmp_path / "data" / "voices"
    monkeypatch.delenv("AMPHION_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert voices.folder() == tmp_path / "xdg" / "amphion" / "voices"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert voices.folder() == tmp_path / "home" / ".local" / "share" / "amphion" / "voices"


def test_a_voice_without_a_text_is_stored_where_no_recogniser_is(run, monkeypatch):
    write("me.wav", voice_like(4))
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    code, _, err = run("voice", "add", "anna", "me.wav")
    assert code == 0 and "stored without its text" in err
    assert voices.load("anna").text == ""
    code, out, _ = run("voice", "info", "anna")
    assert code == 0 and "not known" in out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.wav", b"", "a.wav"),
        ("a.wav", b"This is a text.\n" * 50, "a.wav"),
        ("a.txt", b"This is a text.\n" * 50, "a.txt"),
        ("a.wav", b"RIFF\x24\x00\x00\x00WAVEfmt ", "a.wav"),
        ("a.mp3", os.urandom(3000), "a.mp3"),
    ],
)
def test_a_file_that_is_no_audio_is_an_error_that_names_it(name, content, message, imitator, run):
    Path(name).write_bytes(content)
    code, _, err = run("tts", "One.", "--prompt", name, "--prompt-text", "ab", "--model", imitator)
    assert code == 2 and message in err and "Traceback" not in err and "hint: " in err
    code, _, err = run("voice", "add", "anna", name, "--text", "ab")
    assert code == 2 and message in err and not voices.names()


def test_a_continuation_begins_after_the_first_word_that_ends_behind_three_seconds():
    recording = Audio(voice_like(6), RATE)
    words = [
        SimpleNamespace(word=word, end=end) for word, end in (("one", 1.0), ("two", 3.2), ("three", 4), ("four", 6))
    ]
    cut = continuation(recording, words)
    assert (cut.prompt_text, cut.text) == ("one two", "three four") and cut.prompt.duration == pytest.approx(3.2)
    assert np.array_equal(cut.prompt.samples, recording.samples[: len(cut.prompt.samples)])
    for few, seconds in ((words[:2], 3.0), ([], 3.0), (words, 9.0)):
        with pytest.raises(DataError, match="no word follows"):
            continuation(recording, few, seconds)


def test_a_prompt_of_nan_and_one_in_mp3(imitator, run):
    soundfile.write("nan.wav", np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    code, _, err = run("tts", "One.", "--prompt", "nan.wav", "--prompt-text", "ab", "--model", imitator)
    assert code == 2 and "not finite" in err
    Audio(voice_like(4), RATE).save("me.mp3")
    assert run("tts", "One.", "--prompt", "me.mp3", "--prompt-text", "ab", "--model", imitator)[0] == 0
