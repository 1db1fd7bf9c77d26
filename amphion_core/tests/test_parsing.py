"""Options and positional arguments in any order, in every command and in subcommands."""

import argparse
from pathlib import Path

import pytest

from amphion_core.cli.main import joined, main, make_parser
from amphion_core.cli.parsing import Parser, parse


@pytest.fixture(scope="module")
def parser():
    return make_parser(None, every=True)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("train v1 -o run data.root=p", {"recipe": "v1", "override": ["data.root=p"], "folder": Path("run")}),
        ("train -o run v1 a=1 --resume b=2", {"recipe": "v1", "override": ["a=1", "b=2"], "resume": True}),
        ("prepare folder --processes 2 in out dev=0.1", {"dataset": "folder", "processes": 2, "out": Path("out")}),
        ("prepare folder in out --json dev=0.1", {"option": ["dev=0.1"], "json": True}),
        ("tts -o a.wav --seed 3 Hello.", {"command": "tts", "out": "a.wav", "text": "Hello."}),
        ("tts - --stream", {"text": "-", "stream": True}),
        ("vocode --json in -o out", {"source": Path("in"), "json": True}),
        ("eval a --ref r b -o scores", {"generated": [Path("a"), Path("b")], "ref": Path("r")}),
        ("eval listen a --kind ab b", {"command": "eval listen", "systems": [Path("a"), Path("b")], "kind": "ab"}),
        ("list --json models vocoder/*", {"kind": "models", "pattern": "vocoder/*", "json": True}),
        ("plugin new --kind vocoder amphion-x", {"action": "new", "name": "amphion-x", "kind": "vocoder"}),
    ],
)
def test_options_may_stand_before_between_and_after_the_other_words(line, expected, parser):
    args = vars(parse(parser, joined(line.split())))
    assert {name: args[name] for name in expected} == expected
    assert callable(args["run"]) and args["debug"] is False


def test_recipes_take_an_override_that_stands_after_an_option(parser):
    assert parse(parser, ["recipes", "hifigan_quickstart", "engine.steps=3"]).override == ["engine.steps=3"]


def test_words_that_do_not_fit_exit_with_the_usage_of_the_subcommand(parser, capsys):
    for words, message in (
        (["train", "v1", "--nothing"], "unrecognized arguments: --nothing"),
        (["train", "-o", "run"], "required: recipe"),
        (["plugin"], "required: ACTION"),
    ):
        with pytest.raises(SystemExit) as ended:
            parse(parser, words)
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert message in error and f"usage: amphion {words[0]}" in error


def test_a_command_that_passes_all_other_words_on_still_can():
    parser = Parser()
    below = parser.add_subparsers(dest="command").add_parser("run")
    below.add_argument("script")
    below.add_argument("rest", nargs=argparse.REMAINDER)
    args = parse(parser, ["run", "x.py", "--its", "own", "-o", "option"])
    assert (args.script, args.rest) == ("x.py", ["--its", "own", "-o", "option"])


def test_a_word_after_two_dashes_is_no_option():
    parser = Parser()
    parser.add_argument("text")
    assert parse(parser, ["--", "-h"]).text == "-h"


def test_a_recipe_is_read_with_an_override_after_the_folder(tmp_path, capsys):
    words = ["train", "hifigan_quickstart", "-o", str(tmp_path / "run"), "engine.stepps=1"]
    assert main(words) == 2
    assert "engine.stepps: no such field; did you mean steps?" in capsys.readouterr().err


def test_all_mistakes_of_a_command_are_reported_together(parser, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(parser, ["eval listen", "--kind", "x", "--samples", "many", "--loud"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    for message in ("--kind: invalid choice", "--samples: invalid int", "required: systems", "arguments: --loud"):
        assert error.count(message) == 1, error


@pytest.mark.parametrize(
    "words", [["vocode", "", "-o", "out"], ["prepare", "folder", "", "out"], ["eval", "a", "--ref", ""]]
)
def test_an_empty_path_is_refused_and_does_not_mean_the_current_folder(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert "the path is empty" in capsys.readouterr().err
