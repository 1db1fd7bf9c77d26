"""Your own voice in the page, without a browser: what is kept on the disk, the steps, and what a restart finds."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from amphion_core.api import Audio
from amphion_core.data import transcripts
from amphion_core.demo import voice_steps, voice_view
from amphion_core.demo.cutting import LONGEST, cut_at_pauses
from amphion_core.demo.voice_steps import Steps
from amphion_core.demo.voices import Voices
from amphion_core.errors import AmphionError, AudioError, DataError
from amphion_core.training.run_folder import RunFolder

RATE = 16000


def hum(seconds, level=0.3):
    times = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * 150 * times) * (1 + np.sin(2 * np.pi * 3 * times)) / 2).astype(np.float32)


def file(folder, name, samples):
    return str(Audio(samples, RATE).save(folder / name))


@pytest.fixture
def voice(tmp_path):
    return Voices(tmp_path / "voices").create("Anna")


@pytest.fixture
def steps():
    found = Steps()
    yield found
    found.close()


@pytest.mark.parametrize("name", ["", "  ", "a/b", "../up", ".hidden", "-x", "a b", "x" * 80])
def test_a_name_that_could_be_a_path_is_refused(tmp_path, name):
    with pytest.raises(DataError):
        Voices(tmp_path).create(name)
    assert not list(tmp_path.iterdir())


def test_a_voice_exists_once_and_is_found_again(tmp_path, voice):
    again = Voices(tmp_path / "voices")
    with pytest.raises(DataError, match="already"):
        again.create("anna")
    assert again.names() == ["anna"] and again.open("anna").language == "en"
    with pytest.raises(DataError, match="no voice"):
        again.open("bert")


def test_recordings_that_teach_nothing_are_refused_by_a_sentence_each(tmp_path, voice):
    (tmp_path / "broken.wav").write_bytes(b"RIFFnothing")
    (tmp_path / "notes.txt").write_text("hello")
    bad = [
        file(tmp_path, "silent.wav", np.zeros(RATE, np.float32)), file(tmp_path, "short.wav", hum(0.2)),
        str(tmp_path / "broken.wav"), str(tmp_path / "notes.txt"),
    ]  # fmt: skip
    said = voice.add([*bad, file(tmp_path, "a good one.wav", hum(2))])
    assert len(said) == 4 and not any(str(tmp_path) in line for line in said)
    for line, word in zip(said, ["silent", "0.20 seconds", "broken.wav", "no audio file"], strict=True):
        assert word in line
    assert [one.name for one in voice.recordings()] == ["a-good-one"]


def test_a_second_recording_of_the_same_name_replaces_nothing(tmp_path, voice):
    first = file(tmp_path, "a.wav", hum(1))
    voice.add([first])
    voice.add([file(tmp_path, "a.wav", hum(2))], text="  Two\nlines. ")
    assert [(one.name, round(one.seconds), one.text) for one in voice.recordings()] == [
        ("a", 1, ""), ("a-01", 2, "Two lines."),
    ]  # fmt: skip


def test_a_long_recording_is_cut_at_its_pauses(tmp_path, voice):
    pause = np.zeros(RATE // 2, np.float32)
    sentences = [hum(4), pause, hum(5), pause, hum(6), pause, hum(3)]
    pieces = cut_at_pauses(Audio(np.concatenate(sentences), RATE))
    assert sum(len(piece.samples) for piece in pieces) == sum(map(len, sentences))
    assert len(pieces) > 1 and all(piece.duration <= LONGEST for piece in pieces)
    for piece in pieces[:-1]:
        assert np.abs(piece.samples[-RATE // 10 :]).max() == 0
    with pytest.raises(DataError, match="no pause"):
        cut_at_pauses(Audio(hum(20, 0.5) + 0.1, RATE))
    assert voice.add([file(tmp_path, "long.wav", hum(20) + 0.1)])[0].startswith("the recording lasts 20 seconds")


def test_a_full_disk_is_one_sentence_and_leaves_no_half_of_a_recording(tmp_path, voice, monkeypatch):
    import shutil

    def full(source, target):
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(AmphionError, match="the disk is full"):
        voice.add([file(tmp_path, "a.wav", hum(1))])
    assert not voice.recordings() and not list(voice.audio.iterdir())


def test_too_little_speech_is_refused_before_anything_runs(tmp_path, voice):
    with pytest.raises(DataError, match="no recordings"):
        voice.check_texts()
    voice.add([file(tmp_path, f"{name}.wav", hum(1)) for name in "abc"])
    with pytest.raises(DataError, match="no recording has a text"):
        voice.check_texts()
    voice.set_text("a", "One.")
    with pytest.raises(DataError, match="at least 3"):
        voice.check_texts()
    voice.set_text("b", "Two.")
    voice.set_text("c", "Three.")
    with pytest.raises(DataError, match=r"3\.0 seconds"):
        voice.check_texts()
    with pytest.raises(DataError, match="characters"):
        voice.set_text("a", "long " * 300)


def test_only_the_texts_that_were_changed_in_this_page_are_written(tmp_path, voice):
    voice.add([file(tmp_path, f"{name}.wav", hum(1)) for name in "ab"])
    table = voice_view.rows(voice.recordings())
    loaded = voice_view.texts_of(table)
    voice.set_text("b", "Written in another window.")
    table[0][voice_view.TEXT] = "Corrected here."
    for name, text in voice_view.changed_texts(table, loaded).items():
        voice.set_text(name, text)
    assert [one.text for one in voice.recordings()] == ["Corrected here.", "Written in another window."]


def test_a_recogniser_writes_the_missing_texts_only(tmp_path, voice):
    class Stub:
        sample_rate = 8000

        def transcribe(self, audio, language):
            assert audio.sample_rate == 8000
            return " heard  this " if audio.duration < 1.5 else ""

    voice.add([file(tmp_path, "a.wav", hum(1)), file(tmp_path, "b.wav", hum(1)), file(tmp_path, "c.wav", hum(2))])
    voice.set_text("a", "Mine.")
    found = list(transcripts.transcribe(voice.audio, Stub()))
    assert [(one.text, one.is_new, bool(one.problem)) for one in found] == [
        ("Mine.", False, False), ("heard this", True, False), ("", True, True),
    ]  # fmt: skip
    origins = [one.origin for one in voice.recordings()]
    assert origins == ["written by you", "heard by the recogniser", "no text yet"]
    voice.set_text("b", "Heard that.")
    assert voice.recordings()[1].origin == "written by you"


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_step_that_failed_says_why_also_after_a_restart(voice, steps):
    steps.start(voice, "prepare", ["prepare", "folder", str(voice.audio), str(voice.prepared)])
    with pytest.raises(DataError, match="is running"):
        steps.start(voice, "transcribe", ["doctor"])
    assert steps.outcome(voice, "prepare").status == "running"
    wait_for(lambda: steps.wait(voice, "prepare") is not None)
    after = Steps().outcome(voice, "prepare")
    assert after.status == "failed" and after.said.startswith("error: ") and "hint: " in after.said
    assert after.command.startswith("amphion prepare folder ")


def test_training_needs_what_comes_before_it(tmp_path, voice, steps):
    with pytest.raises(DataError, match="not prepared"):
        voice_steps.begin_training(steps, voice, "any", [])
    with pytest.raises(DataError, match="no training"):
        voice_steps.go_on(steps, voice)
    assert voice_view.View(voice, steps).can_go_on is False


def test_a_child_ends_when_the_server_is_killed(voice, tmp_path):
    voice.work.mkdir()
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'amphion_core.demo.voice_child', sys.argv[1], 'train',"
        " 'doctor', '--wait'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\ntime.sleep(600)"
    )
    script = tmp_path / "sitecustomize.py"  # the child waits where a command would work
    script.write_text(
        "import sys, time\n"
        "if 'doctor' in sys.orig_argv:\n"
        "    import amphion_core.cli.main as cli\n"
        "    cli.main = lambda words: time.sleep(600)\n"
    )
    import os

    known = {**os.environ, "PYTHONPATH": str(tmp_path)}
    server = subprocess.Popen([sys.executable, "-c", code, str(voice.work)], stdout=subprocess.PIPE, env=known)
    with server:
        server.stdout.readline()
        wait_for(lambda: voice_steps.is_locked(voice, "train"))
        server.send_signal(signal.SIGKILL)
    wait_for((voice.work / "train.ended").is_file)
    assert (voice.work / "train.ended").read_text().strip() == "130"
    wait_for(lambda: not voice_steps.is_locked(voice, "train"))


def test_a_damaged_line_of_the_curve_is_left_out(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\nnull\n{"ste')
    points = RunFolder(tmp_path).points()
    assert [point["step"] for point in points] == [1, 2] and "<svg" in voice_view.charts(points)


def test_a_setting_is_name_and_value():
    assert voice_steps.override_lines(" a.b=1\n\n c=2 ", are_free=True) == ["a.b=1", "c=2"]
    for wrong in ("steps 5", "--out=/etc"):
        with pytest.raises(AmphionError, match="not"):
            voice_steps.override_lines(wrong, are_free=True)


def test_a_page_that_others_can_open_takes_no_settings(tmp_path):
    assert voice_steps.override_lines(" \n", are_free=False) == []
    with pytest.raises(AmphionError, match="cannot be changed"):
        voice_steps.override_lines("data.root=/etc", are_free=False)


def test_an_unreadable_sample_is_no_error(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no audio")
    assert voice_view.playable(tmp_path / "a.wav") is None
    with pytest.raises(AudioError):
        Audio.load(tmp_path / "a.wav")
