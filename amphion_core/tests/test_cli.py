"""The command line: tables, pipes, JSON, help, errors without tracebacks."""

import json
import subprocess
import sys

import pytest

from amphion_core import registry
from amphion_core.cli.main import main
from amphion_core.registry import ComponentRef


def test_a_pipe_gets_whole_names_between_tabs(capsys):
    assert main(["list", "models"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert all(len(row) == 5 for row in rows)
    assert ["models", "vocoder/hifigan", "amphion-vocoders 0.1.0", "ok"] in [row[:4] for row in rows]


def test_json_for_programs(capsys):
    main(["list", "models", "vocoder/*", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} == {"vocoder/hifigan", "vocoder/griffin_lim"}


def test_pretrained_cards_have_a_status(capsys):
    main(["list", "--pretrained"])
    rows = dict(line.split("\t")[:2] for line in capsys.readouterr().out.splitlines())
    assert rows["vocoder/hifigan@v1"] == "no weights"


def test_info_shows_fields_layouts_and_cards(capsys):
    assert main(["info", "vocoder/hifi_gan"]) == 0
    text = capsys.readouterr().out
    assert "vocoder/hifigan  (model)" in text and "upsample_rates" in text and "jik876" in text


def test_doctor_and_completion_and_help_work(capsys):
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "all well"
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0


@pytest.mark.parametrize("name", registry.names("commands"))
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*name.split("/"), "--help"])
    assert ended.value.code == 0
    assert registry.find("commands", name).summary.split()[0] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["lst"], "no command named 'lst' is installed", "did you mean list?"),
        (["info", "vocoder/hifgan"], "no model named", "did you mean vocoder/hifigan?"),
        (["list", "modles"], "no kind 'modles'", "kinds: models"),
        (["recipes", "nothing"], "no recipe 'nothing'", "amphion recipes"),
        (["recipes", "seed=7", "nothing"], "no recipe 'nothing'", "amphion recipes"),
        (["train", "seed=7"], "no recipe is named", "amphion recipes"),
        (["plugin", "check", "amphion-nobody"], "no distribution 'amphion-nobody'", "pip install"),
    ],
)
def test_an_error_is_a_sentence_and_a_hint(words, message, hint, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error and f"hint: {hint}" in error and "Traceback" not in error


def test_a_command_of_two_distributions_is_listed_once_and_refuses_when_typed(capsys, monkeypatch):
    scan = registry._scan()
    twin = ComponentRef("commands", "tts", "json:loads", "amphion-twin", "1.0")
    monkeypatch.setattr(registry, "_scan", lambda: (*scan, twin))
    with pytest.raises(SystemExit):
        main(["--help"])
    assert capsys.readouterr().out.count("\n    tts ") == 1
    assert main(["tts", "Hello."]) == 2
    assert "'tts' is claimed by amphion-tts" in capsys.readouterr().err


def test_an_unexpected_error_shows_its_traceback_only_with_debug(capsys, monkeypatch):
    monkeypatch.setattr("amphion_core.cli.list_command.run", lambda args: 1 / 0)
    assert main(["list"]) == 1
    error = capsys.readouterr().err
    assert "unexpected ZeroDivisionError" in error and "--debug" in error and "Traceback" not in error
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "list"])


def test_tab_completes_commands(tmp_path):
    import os

    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "COMP_LINE": "amphion do",
        "COMP_POINT": "10",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "out"),
    }
    subprocess.run([sys.executable, "-m", "amphion_core.cli.main"], env=environment, check=False, capture_output=True)
    assert (tmp_path / "out").read_text().split("\x0b")[0].strip() == "doctor"


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m amphion_core.cli.main list | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("models\t") and not done.stderr


def test_an_unknown_card_is_an_error_that_lists_the_cards(capsys):
    assert main(["info", "vocoder/hifigan@zz"]) == 2
    shown = capsys.readouterr()
    assert not shown.out and "no card 'zz'" in shown.err and "v1, v2, v3" in shown.err


def test_a_path_that_the_system_refuses_is_one_clear_sentence(capsys):
    assert main(["train", "x" * 5000]) == 2
    shown = capsys.readouterr().err
    assert "File name too long" in shown and "unexpected" not in shown and len(shown) < 500


def test_overrides_may_stand_before_the_recipe(capsys):
    assert main(["train", "optim.lr=1e-4", "no_such_recipe"]) == 2
    assert "there is no recipe 'no_such_recipe'" in capsys.readouterr().err
