"""Broken and unusual audio files through the commands: each is read to its real end, or has a reason."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from amphion_core.cli.main import main
from amphion_core.data.manifest import Manifest

RATE, SECONDS = 22050, 40
LONG = (0.3 * np.sin(np.arange(SECONDS * RATE) / 9)).astype(np.float32)
TONE = LONG[: 2 * RATE]


def stated(data: bytes, samples: int) -> bytes:
    """The FLAC file with another number of samples in its header: the last 36 bits of 8 bytes of STREAMINFO."""
    fields = int.from_bytes(data[18:26], "big") >> 36 << 36 | samples
    return data[:18] + fields.to_bytes(8, "big") + data[26:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of good files, and of files that are cut, claim too much, or are no files."""
    path = tmp_path_factory.mktemp("audio")
    for suffix in ("wav", "flac", "ogg", "mp3", "aiff", "au", "w64", "caf"):
        soundfile.write(path / f"good-{suffix}.{suffix.title()}", TONE, RATE)
        (path / f"cut-{suffix}.{suffix}").write_bytes((path / f"good-{suffix}.{suffix.title()}").read_bytes()[:-3000])
    soundfile.write(path / "good-opus.OPUS", TONE, 24000, format="OGG", subtype="OPUS")
    soundfile.write(path / "good-gsm.wav", TONE, 8000, subtype="GSM610")
    soundfile.write(path / "long.flac", LONG, RATE)
    whole, long = (path / "good-flac.Flac").read_bytes(), (path / "long.flac").read_bytes()
    (path / "good-streamed.flac").write_bytes(stated(whole, 0))
    (path / "long-streamed.flac").write_bytes(stated(long, 0))
    (path / "cut-claims-days.flac").write_bytes(stated(whole, 2**36 - 1))
    (path / "cut-claims-a-minute.flac").write_bytes(stated(long, 60 * RATE))
    soundfile.write(path / "slow.wav", TONE, 1)
    soundfile.write(path / "integers.wav", TONE * 30_000, RATE, subtype="FLOAT")
    os.mkfifo(path / "pipe.wav")
    (path / "device.wav").symlink_to("/dev/zero")
    (path / "loop.wav").symlink_to("loop.wav")
    (path / "missing.wav").symlink_to("nowhere")
    (path / "empty.wav").touch()
    (path / "page.wav").write_text("<html>not found</html>")
    (path / "other.m4a").write_bytes(b"x" * 100)
    return path


REASONS = {
    "slow.wav": "a rate of 1 Hz, outside", "integers.wav": "the scale of integers", "pipe.wav": "it is a pipe",
    "device.wav": "it is a device", "loop.wav": "a link that leads to itself", "missing.wav": "there is no such file",
    "empty.wav": "it is empty", "page.wav": "it is a web page", "other.m4a": "AAC (.m4a) cannot be read",
}  # fmt: skip


def test_prepare_reads_every_file_or_says_why_not(folder, tmp_path, capsys):
    assert main(["prepare", "folder", str(folder), str(tmp_path), "longest=15"]) == 0
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    manifests = [Manifest(tmp_path, path.stem) for path in tmp_path.glob("*.jsonl")]
    read: dict[str, float] = {}
    for manifest in manifests:
        for record in manifest:
            name = Path(record.utterance.path).name
            read[name] = read.get(name, 0.0) + record.utterance.duration
    files = {path.name for path in folder.iterdir()}
    assert read.keys() == {name for name in files if name.startswith(("good", "long"))}
    for name, seconds in read.items():
        rate = {"good-opus.OPUS": 24000, "good-gsm.wav": 8000}.get(name, RATE)
        assert seconds == pytest.approx(SECONDS if name.startswith("long") else len(TONE) / rate, abs=0.05), name
    text = json.dumps(report, ensure_ascii=False)
    for name in files - read.keys():
        assert name in text
        reason = REASONS.get(name, "cut short")
        assert any(reason in line for line in reasons(report, name)), (name, reasons(report, name))


def reasons(report: dict, name: str) -> list[str]:
    """What the report says of a file, wherever it says it."""
    return [json.dumps(item, ensure_ascii=False) for item in walk(report) if name in json.dumps(item)]


def walk(value):
    """Every object or list that holds no other one."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    nested = [each for each in inner if isinstance(each, dict | list)]
    if not nested:
        yield value
    for each in nested:
        yield from walk(each)


@pytest.mark.parametrize("name", ["good-streamed.flac", "good-opus.OPUS", "good-aiff.Aiff", "good-gsm.wav"])
def test_eval_reads_unusual_files(folder, capsys, name):
    words = ["eval", str(folder / name), "--ref", str(folder / name), "--metrics", "si_sdr", "--workers", "1"]
    assert main(words) == 0


@pytest.mark.parametrize("name", ["cut-wav.wav", "cut-claims-days.flac", *REASONS])
def test_eval_and_vocode_refuse_the_others_with_the_reason(folder, tmp_path, capsys, name):
    reason = REASONS.get(name, "cut short").replace("AAC (.m4a) cannot be read", "cannot be read")
    good = str(folder / "good-wav.Wav")
    for words in (
        ["eval", str(folder / name), "--ref", good, "--metrics", "si_sdr", "--workers", "1"],
        ["vocode", str(folder / name), "-o", str(tmp_path / "a.wav"), "--vocoder", "vocoder/griffin_lim"],
    ):
        code, shown = main(words), capsys.readouterr()
        assert code in ((1, 2) if words[0] == "eval" else (2,))
        wanted = "there is no file or folder" if (words[0], name) == ("eval", "missing.wav") else reason
        assert wanted in shown.err + shown.out, (words[0], shown)
    assert not list(tmp_path.iterdir())


def test_the_cases_go_through_prepare_and_eval(cases, tmp_path, capsys):
    assert main(["prepare", "folder", str(cases / "folder_suffixes"), str(tmp_path)]) == 0
    assert "5 found = 5 read + 0 skipped" in capsys.readouterr().out
    streamed = str(cases / "streamed.flac")
    assert main(["eval", streamed, "--ref", streamed, "--metrics", "si_sdr", "--workers", "1"]) == 0


def test_eval_of_a_folder_names_what_it_cannot_read(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.m4a").write_bytes(b"x")
    words = ["eval", str(tmp_path / "a"), "--ref", str(tmp_path / "a"), "--metrics", "si_sdr", "--workers", "1"]
    reason = r"a/1\.m4a cannot be read: AAC \(\.m4a\) cannot be read; convert it"
    assert main(words) == 2
    assert re.search(reason, capsys.readouterr().err)
    soundfile.write(tmp_path / "a/2.wav", TONE, RATE)
    with pytest.warns(UserWarning, match=reason):
        assert main(words) == 0
