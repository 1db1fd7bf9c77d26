"""Names of paths that a person mistyped or mixed up: each message names what was perhaps meant."""

import pytest

from amphion_core.cli.main import main
from amphion_core.files import path_hint


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with recordings, a prepared folder and a run."""
    monkeypatch.chdir(tmp_path)
    for name in ("recordings", "runs/first", "prepared"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("recordings/a.wav", "prepared/dataset.yaml", "lines.txt"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("line.txt", "did you mean lines.txt?"),
        ("run/first", "did you mean runs/first?"),
        ("runs/frist", "did you mean runs/first?"),
        ("recording/a.wav", "did you mean recordings/a.wav?"),
        ("recording/b.wav", "check the path"),  # the folder is known, but not the file in it
        ("lines.txt/a", "check the path"),
        ("something", "check the path"),
        ("a\0", "check the path"),
        ("x" * 5000, "check the path"),
        ("", "check the path"),
    ],
)
def test_the_hint_for_a_missing_path_names_one_that_exists(here, typed, hint):
    assert path_hint(typed) == hint


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("prepare recordings out", "the first word is the reader|hint: amphion prepare folder recordings out"),
        ("prepare folder recordings", "hint: amphion prepare folder recordings prepared/recordings"),
        ("prepare folder recording out", "there is no folder recording|did you mean recordings?"),
        (
            "prepare folder recordings/a.wav out",
            "is a file; a corpus is a folder|amphion prepare folder recordings OUT",
        ),
        ("prepare folder recordings out shortst=1", "shortst: no such field; did you mean shortest?"),
        ("train hifigan_v1 prepared", "is a prepared folder without|hint: data.root=prepared"),
        ("vocode recording/a.wav -o b.wav", "there is no such file|hint: did you mean recordings/a.wav?"),
        ("eval recording --ref recordings", "hint: did you mean recordings?"),
        ("train run/first --resume", "hint: did you mean runs/first?"),
        ("info hifigan_v1", "is a recipe, not a component|hint: amphion recipes hifigan_v1"),
        ("info no/model@x", "no model named"),
    ],
)
def test_a_mixed_up_command_names_the_right_one(here, command, words, capsys):
    pytest.importorskip("amphion_vocoders", reason="its recipe is named")
    pytest.importorskip("amphion_eval", reason="its command is called")
    assert main(command.split()) == 2
    shown = capsys.readouterr().err
    assert [word for word in words.split("|") if word not in shown] == []


def test_info_shows_a_component_though_a_folder_has_its_name(here, capsys):
    (here / "mel").mkdir()
    assert main(["info", "mel"]) == 0
    assert capsys.readouterr().out.startswith("mel  (feature)")


def test_info_shows_a_preset_by_name_and_whole_numbers(capsys):
    pytest.importorskip("amphion_vocoders", reason="its trainer is shown")
    assert main(["info", "f0_dio"]) == 0
    assert "  mel = hifigan_22k_80\n" in capsys.readouterr().out
    assert main(["info", "gan_vocoder"]) == 0
    assert "at most 2147483647" in capsys.readouterr().out
    assert main(["info", "folder"]) == 0
    assert "\n    A table" not in (shown := capsys.readouterr().out)
    assert "`" not in shown
