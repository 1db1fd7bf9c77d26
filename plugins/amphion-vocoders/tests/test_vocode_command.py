"""The command vocode: which file becomes which, what is left out, clipping, and errors before anything is written."""

import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from amphion_core.api import Audio, MelConfig
from amphion_core.audio_files import check_file
from amphion_core.cli.main import main
from amphion_core.errors import AudioError
from amphion_vocoders import vocode_sources
from amphion_vocoders.vocode_sources import targets_of

RATE = 22050
LIST = ".vocoded.jsonl"
TONE = Audio((0.4 * np.sin(np.arange(6000) / 9)).astype(np.float32), RATE)


@pytest.fixture
def quick(monkeypatch):
    """The command with a task that returns the recording as it is; ``quick(*words)`` is the exit code."""
    import amphion_core as amphion

    class Task:
        model_name, note, batch_size, mel = "nothing", None, 1, MelConfig.preset("hifigan_22k_80")
        Request = amphion.get("tasks", "vocoder").Request

        def request(self, **fields):
            return self.Request(**fields)

        def frames(self, source):
            return len(Audio.load(source).samples) // 256

        def is_short(self, frames):
            return True

        def work(self, request):
            return {"changed": check_file(request.audio).st_mtime_ns}

        def chunks(self, request, *, start=0):
            yield Audio.load(request.audio).mono().resample(RATE)

    monkeypatch.setattr(amphion, "task", lambda *args, **fields: Task())
    return lambda *words: main(["vocode", *map(str, words)])


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_case_of_two_files_of_one_stem_is_refused_before_anything_is_written(cases, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("amphion_core.task", None)  # calling it would fail
    assert main(["vocode", str(cases / "vocode_same_stem"), "-o", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert f"a.mp3 and a.wav would become one file, {tmp_path / 'out/a.wav'}" in shown and "hint: rename one" in shown
    assert not list(tmp_path.iterdir())


def test_the_case_of_a_streamed_file_is_vocoded_whole(cases, tmp_path):
    words = ["vocode", str(cases / "streamed.flac"), "-o", str(tmp_path / "a.wav"), "--vocoder", "vocoder/griffin_lim"]
    assert main(words) == 0
    assert abs(soundfile.info(tmp_path / "a.wav").frames - 70893) <= 256  # the length is rounded to whole frames


def test_the_case_of_many_suffixes_is_read_whole(cases, tmp_path, quick, capsys):
    assert quick(cases / "folder_suffixes", "-o", tmp_path / "out") == 0
    assert written(tmp_path / "out") == [LIST, "a.wav", "c.wav", "e.wav", "g.wav", "h.wav"]
    assert "vocoded 5 of 5 files" in capsys.readouterr().out


@pytest.mark.parametrize("model", ["discriminator/mpd", "tts/vits", "discriminator/mpd@nobody"])
def test_a_model_of_another_family_is_refused(tmp_path, capsys, model):
    TONE.save(tmp_path / "a.wav")
    assert main(["vocode", str(tmp_path / "a.wav"), "-o", str(tmp_path / "b.wav"), "--vocoder", model]) == 2
    assert f"error: {model.partition('@')[0]} is a " in (shown := capsys.readouterr().err)
    assert "and a vocoder is needed here" in shown and "hint: amphion list models" in shown
    assert written(tmp_path) == ["a.wav"]


def test_files_that_cannot_be_read_are_named_and_counted(tmp_path, quick, capsys):
    (tmp_path / "in").mkdir()
    TONE.save(tmp_path / "in/a.wav")
    data = (tmp_path / "in/a.wav").read_bytes()
    (tmp_path / "in/cut.wav").write_bytes(data[:-500])
    (tmp_path / "in/b.m4a").write_bytes(b"x")
    os.mkfifo(tmp_path / "in/pipe.wav")
    (tmp_path / "in/zero.wav").symlink_to("/dev/zero")
    (tmp_path / "in/loop.wav").symlink_to("loop.wav")
    assert quick(tmp_path / "in", "-o", tmp_path / "out") == 1
    shown = capsys.readouterr()
    assert "vocoded 1 of 6 files" in shown.out
    for name, reason in {
        "cut.wav": "it was cut short", "b.m4a": "AAC (.m4a) cannot be read", "pipe.wav": "it is a pipe",
        "zero.wav": "it is a device", "loop.wav": "it is a link that leads to itself",
    }.items():  # fmt: skip
        assert any(name in line and reason in line for line in shown.err.splitlines())
    assert written(tmp_path / "out") == [LIST, "a.wav"]


def test_clipping_is_reported_once_with_its_count(tmp_path, quick, capsys):
    (tmp_path / "in").mkdir()
    for name, level in {"a": 1.0, "b": 1.5, "c": 1.25}.items():
        soundfile.write(tmp_path / f"in/{name}.wav", TONE.samples / TONE.peak * level, RATE, subtype="FLOAT")
    assert quick(tmp_path / "in", "-o", tmp_path / "out", "--json") == 0
    shown = capsys.readouterr()
    assert shown.err.count("beyond full scale") == 1
    assert "warning: 2 of 3 files went beyond full scale (up to 1.50) and were clipped" in shown.err
    assert [json.loads(line)["clipped"] for line in shown.out.splitlines()] == [False, True, True]
    assert quick(tmp_path / "in/b.wav", "-o", tmp_path / "b.wav") == 0
    assert "warning: the file went beyond full scale (up to 1.50) and was clipped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("a.xyz", "no audio format"),
        ("none/a.wav", "there is no folder"),
        ("text/a.wav", "a part of its path is a file"),
        ("x" * 300 + ".wav", "File name too long"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch, capsys, out, reason):
    TONE.save(tmp_path / "in.wav")
    (tmp_path / "text").write_text("x")
    monkeypatch.setattr("amphion_core.task", None)  # calling it would fail
    assert main(["vocode", str(tmp_path / "in.wav"), "-o", str(tmp_path / out)]) == 2
    assert reason in capsys.readouterr().err


def test_a_file_in_the_way_of_the_output_folder_is_refused_before_the_work(tmp_path, monkeypatch, capsys):
    (tmp_path / "in").mkdir()
    TONE.save(tmp_path / "in/a.wav")
    (tmp_path / "text").write_text("x")
    monkeypatch.setattr("amphion_core.task", None)
    for out in ("text", "text/deep"):
        assert main(["vocode", str(tmp_path / "in"), "-o", str(tmp_path / out)]) == 2
        assert "cannot be a folder" in capsys.readouterr().err


def test_names_that_would_become_one_file_are_refused(monkeypatch):
    out = Path("out")
    assert targets_of([Path("A.wav"), Path("a.npy")], out, ".flac") == [out / "A.flac", out / "a.flac"]
    both = [["a.wav", "a.npy"], ["a.npy", "a.safetensors"], ["b/a.flac", "b/a.Flac"]]
    monkeypatch.setattr(vocode_sources, "ignores_case", lambda folder: True)
    both += [["A.wav", "a.wav"], ["X/a.wav", "x/a.wav"], ["é.wav", "e\u0301.wav"], ["Straße.wav", "STRASSE.wav"]]
    for names in both:
        with pytest.raises(AudioError, match="would become one file"):
            targets_of([Path(name) for name in names], out, ".wav")
    assert targets_of([Path("X/a.wav"), Path("y/a.wav")], out, ".wav") == [out / "X/a.wav", out / "y/a.wav"]


def test_a_full_disk_ends_the_work_on_a_folder(tmp_path, quick, capsys):
    (tmp_path / "in").mkdir()
    for name in ("a.wav", "b.wav"):
        TONE.save(tmp_path / "in" / name)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        assert quick(tmp_path / "in", "-o", tmp_path / "out") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert capsys.readouterr().err.count("the disk is full") == 1


def test_a_folder_does_not_become_a_folder_with_the_name_of_a_file(quick, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    TONE.save(tmp_path / "in/a.wav")
    assert quick(tmp_path / "in", "-o", tmp_path / "out.wav") == 2
    assert f"hint: -o {tmp_path / 'out'}\n" in capsys.readouterr().err
    assert not (tmp_path / "out.wav").exists()


def test_the_reason_for_an_unreadable_file_names_it_once(quick, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    TONE.save(tmp_path / "in/a.wav")
    (tmp_path / "in/b.wav").write_text("no audio")
    assert quick(tmp_path / "in", "-o", tmp_path / "out") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "b.wav" in line]
    assert [line.count("b.wav") for line in lines] == [1]
    assert lines[0].startswith(f"not vocoded: {tmp_path / 'in/b.wav'}: not readable audio")


def test_a_repeated_command_keeps_what_is_there_and_makes_what_is_new(quick, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    TONE.save(source / "a.wav")
    TONE.save(source / "deep/b.wav")
    assert quick(source, "-o", out, "--json", "--format", "flac") == 0
    assert written(out) == [LIST, "a.flac", "deep/b.flac"]
    first = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    times = {name: (out / name).stat().st_mtime_ns for name in ("a.flac", "deep/b.flac")}
    os.utime(source / "deep/b.wav", ns=(1, 1))  # another recording, as far as one can see
    assert quick(source, "-o", out, "--json", "--format", "flac") == 0
    shown = capsys.readouterr()
    kept = [json.loads(line) for line in shown.out.splitlines()]
    assert "note: 1 file of the same source and vocoder is there already" in shown.err
    assert kept[0] == first[0] | {"kept": True} and "kept" not in kept[1]
    changed = {name: (out / name).stat().st_mtime_ns != before for name, before in times.items()}
    assert changed == {"a.flac": False, "deep/b.flac": True}


def test_one_file_has_the_format_of_its_suffix(quick, tmp_path, capsys):
    TONE.save(tmp_path / "a.wav")
    assert quick(tmp_path / "a.wav", "-o", tmp_path / "b.wav", "--format", "flac") == 2
    assert f"hint: -o {tmp_path / 'b.flac'}" in capsys.readouterr().err
    assert quick(tmp_path / "a.wav", "-o", tmp_path / "b.flac") == 0
    assert soundfile.info(tmp_path / "b.flac").format == "FLAC"


def test_a_note_says_that_no_trained_vocoder_is_there(tmp_path, capsys):
    TONE.save(tmp_path / "a.wav")
    assert main(["vocode", str(tmp_path / "a.wav"), "-o", str(tmp_path / "b.wav")]) == 0
    assert "note: no trained vocoder is installed for general use, so vocoder/griffin_lim" in capsys.readouterr().err
    words = ["vocode", str(tmp_path / "a.wav"), "-o", str(tmp_path / "b.wav"), "--vocoder", "vocoder/griffin_lim"]
    assert main(words) == 0
    assert not capsys.readouterr().err
