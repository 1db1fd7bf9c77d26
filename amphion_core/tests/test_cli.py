"""The command line: tables, pipes, JSON, help, errors without tracebacks."""

import io
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

import amphion_core as amphion
from amphion_core import cards, registry, source_text
from amphion_core.cli.main import main
from amphion_core.registry import ComponentRef
from amphion_core.weights import save


def test_a_pipe_gets_whole_names_between_tabs(capsys):
    assert main(["list", "models"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert all(len(row) == 5 for row in rows)
    assert ["models", "vocoder/hifigan", "amphion-vocoders 0.1.0", "ok"] in [row[:4] for row in rows]


def test_json_for_programs(capsys):
    main(["list", "models", "vocoder/*", "--json"])
    rows = json.loads(capsys.readouterr().out)
    names = {row["name"] for row in rows}
    assert {"vocoder/hifigan", "vocoder/griffin_lim"} <= names
    assert all(name.startswith("vocoder/") for name in names)


def test_pretrained_cards_have_a_status(capsys):
    main(["list", "--pretrained"])
    rows = dict(line.split("\t")[:2] for line in capsys.readouterr().out.splitlines())
    assert rows["vocoder/hifigan@v1"] == "no weights"


def test_info_shows_fields_layouts_and_cards(capsys):
    assert main(["info", "vocoder/hifi_gan"]) == 0
    text = capsys.readouterr().out
    assert "vocoder/hifigan  (model)" in text and "upsample_rates" in text and "jik876" in text


@pytest.mark.parametrize(
    ("name", "package", "command"),
    [
        ("utmos", "utmos", "pip install utmos"),  # no extra has it
        ("dnsmos", "speechmos", 'pip install "amphion-eval[quality]"'),
        ("periodicity_rmse", "torchcrepe", 'pip install "amphion-eval[crepe]"'),  # which is an extra of the core
        ("f0_praat", "parselmouth", 'pip install "amphion-core[praat]"'),
        ("espeak", "phonemizer", 'pip install "amphion-tts[espeak]" or "amphion-tts[voice]"'),
    ],
)
def test_info_shows_how_to_install_the_package_that_a_component_lacks(name, package, command, capsys, monkeypatch):
    find = source_text.module_path
    monkeypatch.setattr(source_text, "module_path", lambda module: None if module == package else find(module))
    assert main(["info", name]) == 0
    assert f"to install what it needs: {command}\n" in capsys.readouterr().out


def test_doctor_and_completion_and_help_work(capsys):
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "all well"
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0


def test_doctor_counts_cards_also_of_a_package_that_has_nothing_else(capsys, monkeypatch):
    refs = registry.refs
    ready, broken = SimpleNamespace(load=lambda: [1, 2]), SimpleNamespace(load=lambda: 1 / 0)
    for ref, dist in ((ready, "voices"), (broken, "broken")):
        ref.dist, ref.version, ref.missing, ref.status = dist, "1.0", [], "ok"
    more = {"pretrained": [ready, broken]}
    monkeypatch.setattr(registry, "refs", lambda kind: [*refs(kind), *more.get(kind, [])])
    monkeypatch.setattr(cards, "notes", lambda: ("the cards of broken 1.0 cannot be read: ZeroDivisionError",))
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "  voices 1.0: 2 cards" in lines and "  broken 1.0: 0 cards" in lines
    assert "problem: the cards of broken 1.0 cannot be read: ZeroDivisionError" in lines


def test_doctor_says_how_to_install_what_a_component_lacks(capsys, monkeypatch):
    find = source_text.module_path
    monkeypatch.setattr(source_text, "module_path", lambda module: None if module == "speechmos" else find(module))
    assert main(["doctor"]) == 0
    assert '  metric dnsmos needs speechmos; pip install "amphion-eval[quality]"\n' in capsys.readouterr().out


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


def completed(line):
    """What the shell offers for the last word of a line."""
    with tempfile.TemporaryDirectory() as folder:  # no file in it begins like a name
        asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
        environment = {**os.environ, **asked, "_ARGCOMPLETE_STDOUT_FILENAME": f"{folder}/out"}
        command = [sys.executable, "-m", "amphion_core.cli.main"]
        subprocess.run(command, env=environment, cwd=folder, check=False, capture_output=True)
        return {word.strip() for word in Path(folder, "out").read_text().splitlines()} - {""}


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
    assert "there is no recipe" in shown and "unexpected" not in shown and len(shown) < 500


def test_overrides_may_stand_before_the_recipe(capsys):
    assert main(["train", "optim.lr=1e-4", "no_such_recipe"]) == 2
    assert "there is no recipe 'no_such_recipe'" in capsys.readouterr().err


def at_a_terminal(monkeypatch, words):
    """The lines that a command prints on a terminal of 80 columns."""
    shown = io.StringIO()
    shown.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(words) == 0
    return shown.getvalue().splitlines()


def test_a_list_has_one_line_a_component_that_fits_the_terminal(monkeypatch):
    lines = at_a_terminal(monkeypatch, ["list"])
    assert max(map(len, lines)) <= 80
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert names == [name for kind in registry.BASES for name in registry.names(kind)]
    summaries = [line.split(maxsplit=1)[1] for line in lines if line.startswith("  ")]
    assert len(set(summaries)) == len(summaries), "two components have one summary"
    assert max(map(len, at_a_terminal(monkeypatch, ["list", "--pretrained"]))) <= 80


def test_a_list_without_a_match_says_so(capsys):
    for words in (["list", "models", "nothing*"], ["list", "--pretrained", "nothing/"]):
        assert main(words) == 0
        assert "nothing installed matches" in capsys.readouterr().err


def test_info_of_a_card_shows_its_own_configuration_and_its_recipe(capsys):
    assert main(["info", "vocoder/hifigan@v2"]) == 0
    text = capsys.readouterr().out
    assert "channels = 128" in text and "recipes: hifigan_v2\n" in text and "commands: amphion vocode" in text


def test_info_of_a_weights_folder_shows_what_is_in_it(tmp_path, capsys):
    mpd = amphion.get("models", "discriminator/mpd")
    save(mpd(mpd.example_config()), tmp_path / "judge")
    assert main(["info", str(tmp_path / "judge")]) == 0
    text = capsys.readouterr().out
    assert "weights of discriminator/mpd" in text and f"periods = {[*mpd.example_config().periods]}" in text
    assert f'amphion_core.load("{tmp_path / "judge"}")' in text


def test_info_of_a_weights_folder_shows_what_its_card_says_of_it(tmp_path, capsys):
    mpd = amphion.get("models", "discriminator/mpd")
    save(mpd(mpd.example_config()), tmp_path / "judge", card="# judge\n\n* **Scores**: 3 of `ten`.\n")
    assert main(["info", str(tmp_path / "judge")]) == 0
    assert f"about these weights, from {tmp_path / 'judge/card.md'}:\n* Scores: 3 of ten.\n" in capsys.readouterr().out
    (tmp_path / "judge/card.md").unlink()
    assert main(["info", str(tmp_path / "judge")]) == 0
    assert "about these weights" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["class", "amphion-class", "numpy", "json", "amphion-2x"])
def test_a_plugin_that_could_not_be_imported_is_refused(name, tmp_path, capsys):
    assert main(["plugin", "new", name, "--kind", "vocoder", "--out", str(tmp_path / "new")]) == 2
    assert "cannot name a plugin" in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_a_plugin_whose_component_exists_already_is_written_with_a_note(tmp_path, capsys):
    assert main(["plugin", "new", "amphion-hifigan", "--kind", "vocoder", "--out", str(tmp_path)]) == 0
    assert "amphion-vocoders has a model named 'vocoder/hifigan' too" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("amphion do", {"doctor"}),
        ("amphion eval li", {"listen"}),
        ("amphion eval listen --ki", {"--kind"}),
        ("amphion eval --metrics pesq_wb,si_s", {"pesq_wb,si_sdr", "pesq_wb,si_snr"}),
        ("amphion train hifigan_q", {"hifigan_quickstart"}),
        ("amphion vocode a.wav --mel hifigan_22k_80_f", {"hifigan_22k_80_full"}),
        ("amphion vocode a.wav --vocoder vocoder/griffin", {"vocoder/griffin_lim"}),
        ("amphion tts --model tts/vits@v", {"tts/vits@vctk"}),
        ("amphion info discriminator/mpd@n", {"discriminator/mpd@nsf"}),
        ("amphion prepare libris", {"librispeech"}),
        ("amphion list met", {"metrics"}),
    ],
)
def test_tab_completes_commands_and_names(line, expected):
    assert completed(line) == expected


def test_a_process_ends_after_its_threads_and_its_registered_functions():
    script = textwrap.dedent("""
        import atexit, sys, threading, time
        from amphion_core.cli.main import program

        def late():
            time.sleep(0.2)
            print("thread")

        class Object:
            def __del__(self):
                print("freed")

        kept = Object()
        threading.Thread(target=late).start()
        atexit.register(print, "registered")
        sys.argv = ["amphion", *sys.argv[1:]]
        sys.exit(program())
    """)
    done = subprocess.run([sys.executable, "-c", script, "list", "models"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()[-2:]) == (0, ["thread", "registered"])
    refused = subprocess.run([sys.executable, "-c", script, "no_command"], capture_output=True, text=True)
    assert (refused.returncode, refused.stdout.split()) == (2, ["thread", "registered"])
