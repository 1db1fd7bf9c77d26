"""The commands of the page about voice conversion, in its order, on short recordings."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_core.cli.main import main

PAGE = Path(__file__).parents[3] / "docs" / "singing-voice-conversion.md"
SINGERS = ("her_recording.wav", "his_recording.wav")
SOURCES = ("song.wav", "speech.flac", "recordings/a.wav", "songs/b.flac")


def commands():
    """The words of every ``amphion svc`` of the page; those with --model need a trained one."""
    for block in re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        for line in block.splitlines():
            if line.startswith("amphion svc ") and "--model" not in line:
                yield pytest.param(shlex.split(line, comments=True)[1:], id=line)


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_of_the_page_converts(words, hum, task, tmp_path, monkeypatch, capsys):
    for name in SOURCES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        hum[0].save(tmp_path / name)
    for name in SINGERS:
        Audio(np.tile(hum[1].samples, 2), hum[1].sample_rate).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(amphion, "task", lambda name, **fields: task)
    assert main(words) == 0, capsys.readouterr().err
    out = Path(words[words.index("-o") + 1])
    assert [path for path in (out.rglob("*.wav") if out.is_dir() else [out]) if Audio.load(path).peak > 0.01]
