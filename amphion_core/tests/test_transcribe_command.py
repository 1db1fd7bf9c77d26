"""amphion transcribe: the texts of a folder of recordings, by any installed recogniser."""

import json

import numpy as np
import pytest

from amphion_core import registry
from amphion_core.api import Audio, BaseConfig, SpeechRecognizer
from amphion_core.cli.main import main


class Counter(SpeechRecognizer):
    """Says how long a recording is."""

    class Config(BaseConfig):
        """Nothing to choose."""

    def __init__(self, config):
        super().__init__(config)
        self.sample_rate = 8000

    def transcribe(self, audio, language):
        return f"{audio.duration:.0f} in {language}"


@pytest.fixture
def folder(tmp_path):
    for name, seconds in (("a", 1), ("b", 2)):
        Audio(np.full(16000 * seconds, 0.1, np.float32), 16000).save(tmp_path / f"{name}.wav")
    (tmp_path / "a.txt").write_text("Mine.\n")
    (tmp_path / "c.wav").write_bytes(b"no audio")
    return tmp_path


@pytest.fixture(autouse=True)
def recognizer():
    ref = registry.ComponentRef(
        "recognizers", "a_counter", f"{__name__}:Counter", "amphion-counter", "1", ">=0.1", "amphion_core.api:v1"
    )
    with registry.temporary(ref):
        yield


def test_missing_texts_are_written_and_others_kept(folder, capsys):
    words = ["transcribe", str(folder), "--recognizer", "a_counter", "--language", "de"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "1 new text, 1 kept, 1 without a text" in shown.out and "c.wav" in shown.err
    assert (folder / "a.txt").read_text() == "Mine.\n" and (folder / "b.txt").read_text() == "2 in de\n"
    assert not (folder / "c.txt").exists()
    assert main([*words, "--again", "--json"]) == 0
    assert [one["text"] for one in json.loads(capsys.readouterr().out)] == ["1 in de", "2 in de", ""]


def test_a_folder_without_recordings_and_an_unknown_recogniser_are_refused(folder, tmp_path, capsys):
    (empty := tmp_path / "empty").mkdir()
    assert main(["transcribe", str(empty)]) == 2 and "no audio files" in capsys.readouterr().err
    assert main(["transcribe", str(folder), "--recognizer", "a_count"]) == 2
    assert "a_counter" in capsys.readouterr().err
