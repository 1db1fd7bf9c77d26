"""The command svc: files, folders, standard input, notes, and one sentence with exit code 2 for what cannot be."""

import io
import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_core.cli.main import main

RATE = 24000


@pytest.fixture(autouse=True)
def folder(tmp_path, hum, task, monkeypatch):
    """A folder with a song and a singer; the networks are loaded once for all tests."""
    hum[0].save(tmp_path / "song.wav")
    Audio(np.tile(hum[1].samples, 2), RATE).save(tmp_path / "singer.wav")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(amphion, "task", lambda name, **fields: task)
    return tmp_path


def test_a_song_is_converted_and_the_last_line_says_how(capsys):
    assert main(["svc", "song.wav", "--singer", "singer.wav", "-o", "out.flac"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(
        "wrote out.flac: 1.5 s at 24000 Hz by svc/world, key shift +7 semitones (from the median"
    )
    assert said.err == ""
    assert Audio.load("out.flac").duration == pytest.approx(1.5)


def test_the_result_as_json_has_the_notes(hum, capsys):
    Audio(np.stack([hum[0].samples] * 2), RATE).save("stereo.wav")
    words = ["svc", "stereo.wav", "--singer", "singer.wav", "--key-shift", "0", "--json", "-o", "out.wav"]
    assert main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["key_shift"] == 0 and result["notes"] == ["the song has 2 channels, which are mixed to one"]


def test_a_folder_is_converted_although_one_file_is_bad(folder, hum, capsys):
    (folder / "songs/deep").mkdir(parents=True)
    hum[0].save(folder / "songs/deep/a.wav")
    Audio(np.zeros(RATE, np.float32), RATE).save(folder / "songs/b.wav")
    (folder / "songs/c.wav").write_bytes(b"nothing")
    assert main(["svc", "songs", "--singer", "singer.wav", "-o", "made"]) == 1
    said = capsys.readouterr()
    assert "converted 1 of 3 files: made" in said.out
    assert "not converted: songs/b.wav: the song is silent" in said.err and "songs/c.wav" in said.err
    assert [str(path.relative_to(folder)) for path in folder.glob("made/**/*.wav")] == ["made/deep/a.wav"]


def sparse_wav(path, hours):
    """A wav file of silence that takes no space on the disk."""
    size = int(hours * 3600) * 8000 * 2
    with path.open("wb") as file:
        file.write(
            b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
        )
        file.write(b"data" + struct.pack("<I", size))
        file.truncate(44 + size)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["song.wav", "--singer", "singer.wav"], "no output is named"),
        (["nothing.wav", "--singer", "singer.wav", "-o", "out.wav"], "nothing.wav cannot be read"),
        (["song.wav", "--singer", "nobody.wav", "-o", "out.wav"], "nobody.wav cannot be read"),
        (["song.wav", "--singer", "nobody", "-o", "out.wav"], "'nobody' is not a recording"),
        (["song.wav", "-o", "out.wav"], "svc/world needs a singer"),
        (["song.wav", "--singer", "short.wav", "-o", "out.wav"], "seconds of voice, and 1 second is needed"),
        (["noise.wav", "--singer", "singer.wav", "-o", "out.wav"], "voice was found in the song"),
        (["silence.wav", "--singer", "singer.wav", "-o", "out.wav"], "the song is silent"),
        (["long.wav", "--singer", "singer.wav", "-o", "out.wav"], "the song lasts 10.0 hours"),
        (["song.wav", "--singer", "long.wav", "-o", "out.wav"], "the recording of the singer lasts 10.0 hours"),
        (["song.wav", "--singer", "singer.wav", "--key-shift", "36", "-o", "out.wav"], "leaves the range of the model"),
        (["song.wav", "--singer", "singer.wav", "--key-shift", "60", "-o", "out.wav"], "key_shift"),
        (["song.wav", "--singer", "singer.wav", "--control", "steps=3", "-o", "out.wav"], "steps"),
        (["song.wav", "--singer", "singer.wav", "-o", "song.wav"], "would overwrite song.wav, which is read"),
        (["song.wav", "--singer", "singer.wav", "-o", "singer.wav"], "would overwrite singer.wav, which is read"),
        (["song.wav", "--singer", "singer.wav", "-o", "out.xyz"], "xyz"),
        (["-", "--stream", "--singer", "singer.wav", "--key-shift", "0", "--chunk", "90"], "--chunk 90"),
        (["-", "--stream", "--singer", "singer.wav", "--key-shift", "0", "--rate", "9"], "--rate 9"),
        (["-", "--stream", "--singer", "singer.wav"], "needs a key shift"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_writes_nothing(folder, hum, words, message, capsys, monkeypatch):
    Audio(hum[1].samples[:12000], RATE).save("short.wav")
    Audio((np.random.default_rng(0).standard_normal(RATE) * 0.1).astype(np.float32), RATE).save("noise.wav")
    Audio(np.zeros(RATE, np.float32), RATE).save("silence.wav")
    sparse_wav(folder / "long.wav", 10)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(bytes(64)), isatty=lambda: False))
    assert main(["svc", *words]) == 2
    said = capsys.readouterr()
    first = said.err.splitlines()[0]
    assert message in said.err and first.startswith("error: ") and "hint: " in said.err
    assert said.out == ""
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_standard_input_is_converted_while_it_arrives(hum, monkeypatch, capsys):
    pcm = (hum[0].samples * 32767).astype("<i2").tobytes()
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(pcm), isatty=lambda: False))
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", SimpleNamespace(buffer=out, isatty=lambda: False))
        words = ["svc", "-", "--stream", "--singer", "singer.wav", "--key-shift", "0", "--chunk", "0.5"]
        assert main(words) == 0
    assert len(out.getvalue()) == len(pcm)
    assert "latency 0.70 s, and the time to convert 0.5 s; the output has 24000 Hz" in capsys.readouterr().err


def test_a_file_is_streamed_slice_by_slice(hum, monkeypatch, capsys):
    out = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", SimpleNamespace(buffer=out, isatty=lambda: False))
        assert main(["svc", "song.wav", "--stream", "--singer", "singer.wav"]) == 0
    assert len(out.getvalue()) == 2 * len(hum[0].samples)


def test_the_help_says_that_the_accompaniment_must_be_removed(capsys):
    with pytest.raises(SystemExit):
        main(["svc", "--help"])
    said = capsys.readouterr().out
    assert "Remove the accompaniment" in said and "NAME|RECORDING" in said and "0 to 4294967295" in said
