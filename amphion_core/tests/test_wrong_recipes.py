"""Recipes and overrides with mistakes: each kind is one sentence that names the file or field, and what to type."""

import os

import pytest

from amphion_core import recipe, yaml
from amphion_core.api import BaseConfig, DiscriminatorPart, ModelPart, VocoderPart
from amphion_core.cli.main import main
from amphion_core.config import validate
from amphion_core.errors import RecipeError

RECIPE = """
name: small
audio: hifigan_22k_80
model: vocoder/hifigan@v2
trainer: {name: gan_vocoder, discriminators: [discriminator/mpd]}
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "small.yaml").write_text(RECIPE, encoding="utf-8")
    return str(tmp_path / "small.yaml")


ALIASES = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[" * 1500, "line 1, column 101: nested more than 100 levels deep", "bracket"),
        ("\n".join(" " * n + "a:" for n in range(1500)), "line 100, column 100: nested more", "bracket"),
        ("{a: " * 1500 + "}" * 1500, "nested more than 100 levels deep", "bracket"),
        (ALIASES, "more than 200000 values", "aliases"),
        ("a: &a [*a]", "line 1, column 8: the alias stands for what contains it", "write the value itself"),
        ("a: *b", "found undefined alias", "write the value itself"),
        ("a: 1\n\tb: 2", "line 2, column 1", "not with tabs"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed", "quotes"),
        ("a: [1", "line 1", "close every bracket"),
        ("a: '1", "line 1", "close every bracket"),
        ("a: 1\na: 2", "line 2, column 1: the key 'a' is given twice", "remove one"),
        ("a: \x00", "unacceptable character", "UTF-8"),
        ("a: " + "9" * 5000, "line 1, column 4: '9999", "quotes"),
        ("a: !!int x", "'x' is not a number", "quotes"),
        ("a: !!bool x", "'x' is not a number", "quotes"),
        ("a: !!timestamp 2020", "could not determine a constructor", "tags"),
        ("!!python/object:os.system {}", "could not determine a constructor", "tags"),
    ],
    ids=range(17),
)
def test_a_text_that_is_no_yaml_has_a_position_and_a_hint(text, message, hint):
    with pytest.raises(RecipeError) as caught:
        yaml.parse(text, where="x.yaml")
    assert caught.value.message.startswith("x.yaml") and message in caught.value.message
    assert hint in caught.value.hint


def test_aliases_of_moderate_size_are_read():
    assert yaml.parse("a: &a {x: 1}\nb: *a\nc: [*a, *a]") == {"a": {"x": 1}, "b": {"x": 1}, "c": [{"x": 1}] * 2}


def test_depth_up_to_the_limit_is_read():
    found = yaml.parse("[" * 99 + "7" + "]" * 99)
    for _ in range(99):
        (found,) = found
    assert found == 7


@pytest.mark.parametrize("command", ["recipes", "train"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("pipe", "it is a pipe"), ("folder", "it is a folder, not a file"), ("huge", "is too large"),
        ("missing", "there is no file"), ("long", "File name too long"), ("binary", "cannot be read"),
        ("empty", "is empty"), ("list", "holds a list"), ("number", "holds the value '5'"),
        ("deep", "nested more than 100 levels"), ("keys", "required, and not given"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_recipe_is_refused_without_waiting(tmp_path, capsys, command, kind, message):
    file = tmp_path / ("n" * 300 + ".yaml" if kind == "long" else "r.yaml")
    texts = {"empty": "", "list": "[1, 2]", "number": "5", "deep": "[" * 20000, "keys": "1: 2\n3: {4: 5}\n"}
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "huge":
        with file.open("wb") as opened:
            opened.truncate(10**9)  # a file with a hole: it takes no space
    elif kind == "binary":
        file.write_bytes(b"\xff\xfe\x00name")
    elif kind in texts:
        file.write_text(texts[kind], encoding="utf-8")
    assert main([command, str(file)]) == 2
    shown = capsys.readouterr().err
    assert message in shown and "unexpected" not in shown


def test_weights_are_no_recipe_and_the_way_to_train_from_them_is_shown(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("name: vocoder/hifigan\nconfig: {channels: 4}\n", encoding="utf-8")
    assert main(["train", str(tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert f"{tmp_path} holds weights, not a run" in shown
    assert f"engine.init_from={tmp_path}" in shown


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=true", "seed: a number is needed, got True"),
        ("seed=.nan", "seed: input should be a finite number"),
        ("seed=1e99", "seed: the number is too large"),
        ("seed=-1", "seed: input should be greater than or equal to 0"),
        ("seed=4294967296", "seed: input should be less than or equal to 4294967295"),
        ("optim.betas=[true, 0.9]", "optim.betas: a number is needed"),
        ("optim.betas=[1, 0.9]", "optim.betas.0: input should be less than 1"),
        ("optim.betas=[0.9, .nan]", "optim.betas.1: input should be a finite number"),
        ("optim.betas=0.9", "optim.betas: a list is needed, written [first, second]"),
        ("optim.lr=.inf", "optim.lr: input should be a finite number"),
        ("optim.lr=1e400", "optim.lr: input should be a finite number"),
        ("optim.lr=1e9", "optim.lr: input should be less than or equal to 1000"),
        ("optim.eps=2", "optim.eps: input should be less than or equal to 1"),
        ("optim.clip=-1", "optim.clip: input should be greater than 0"),
        ("optim.groups.generator.lr=.nan", "optim.groups.generator.lr: input should be a finite number"),
        ("optim=3", "optim: its fields are needed, written {field: value}"),
        ("engine.steps=99999999999999999999999", "engine.steps: input should be less than or equal to 2147483647"),
        ("engine.steps=true", "engine.steps: a number is needed"),
        ("engine.micro_batches=1e6", "engine.micro_batches: input should be less than or equal to 4096"),
        ("engine.ema={generator: true}", "engine.ema: a number is needed"),
        ("engine.ema={generator: .nan}", "engine.ema.generator: input should be a finite number"),
        ("engine.device=cuda:١", "engine.device: 'cuda:١' is not auto"),
        ("engine.device=cuda:99999999999999999999", "is not auto, cpu, cuda"),
        ("engine.init_from=3", "engine.init_from: write a place"),
        ("engine.init_from.a.b=3", "engine.init_from.a.b: its fields are needed"),
        ("data.workers=100000", "data.workers: input should be less than or equal to 128"),
        ("data.budget=.inf", "data.budget: input should be a finite number"),
        ("data.budget=1e300", "data.budget: input should be less than or equal to 1000000"),
        ("data.crop=1e12", "data.crop: input should be less than or equal to"),
        ("data.root=3", "data.root: write one folder, or a list"),
        ("data.root.0.root=x", "data.root.0: there is no list with the index 0; write the whole list: data.root=[...]"),
        ("audio.nope=3", "audio.nope: no such field; fields are sample_rate, n_fft"),
        ("audio.sample_rat=3", "audio.sample_rat: no such field; did you mean sample_rate?"),
        ("audio.n_fft=1e15", "audio.n_fft: input should be less than or equal to 1048576"),
        ("trainer.mel_weight=.nan", "trainer.mel_weight: input should be a finite number"),
        ("trainer.discriminators.٠.channels=8", "'٠' is not an index of a list of 1"),
        ("trainer.discriminators.5.channels=8", "'5' is not an index of a list of 1; indices count from 0"),
        ("trainer.discriminators.-1.channels=8", "'-1' is not an index of a list of 1"),
        ("trainer.discriminators=[{name: discriminator/mpd, periods: [2, -1]}]", "periods.1: input should be greater"),
        ("trainer.discriminators=[{name: discriminator/mpd, periods: [1e9]}]", "periods.0: input should be less"),
        ("model.channels=true", "model.channels: a number is needed"),
        ("model=5", "model: a model is written as its name"),
        ("=3", "'=3' is not an override; write key=value"),
        ("=", "'=' is not an override"),
        (".=3", "'.=3' is not an override"),
        ("optim..lr=3", "'optim..lr=3' is not an override"),
        ("optim.lr.=3", "'optim.lr.=3' is not an override"),
        ("optim.lr", "'optim.lr' is not an override"),
        ("seed.deep=1", "seed: input should be a valid integer"),
        ("0=1", "0: there is no list with the index 0; a field has a name"),
        ("optim.lr=[", "optim.lr line 1, column 2"),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_or_of_another_type_names_the_field(path, override, message):
    with pytest.raises(RecipeError) as caught:
        recipe.read(path, [override])
    assert message in caught.value.message


def test_all_mistakes_of_the_file_and_of_the_overrides_are_reported_together(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text(RECIPE + "sead: 5\noptim: {betas: [2, 0.9]}\n", encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        recipe.read(str(file), ["engine.stepz=1", "=4", "trainer.discriminators.7=x", "data.budget=-1", "optim.lr=["])
    lines = caught.value.message.splitlines()
    assert lines[0].endswith("7 problems") and len(lines) == 8
    for part in ("sead", "optim.betas.0", "engine.stepz", "'=4'", "discriminators.7", "data.budget", "optim.lr line"):
        assert sum(part in line for line in lines) == 1, part


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("engine.nope=3", "  engine.nope: no such field; fields are steps, "),
        ("engine={nope: 3}", "  engine.nope: no such field; fields are steps, "),
        ("trainer.discriminators.0.periods=[2, -1]", "  trainer.discriminators.0.periods.1: input should be greater"),
        ("model.upsample_rates=[8, 8, 2, 4]", "  model: upsample_rates: "),
        ("trainer.discriminators.7=x", "  trainer.discriminators.7: '7' is not an index"),
    ],
)
def test_a_mistake_on_the_command_line_is_not_said_to_be_in_the_file(path, override, message, capsys):
    assert main(["train", path, "data.root=there", override]) == 2
    first, problem, *_ = capsys.readouterr().err.splitlines()
    assert first == f"error: overrides of {path}: 1 problem"
    assert problem.startswith(message) and problem.endswith(f"(override {override})")


def test_of_mistakes_in_both_only_those_of_overrides_name_an_override(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text(RECIPE + "sead: 5\n", encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        recipe.read(str(file), ["engine.stepz=1", "engine.steps=5"])
    lines = caught.value.message.splitlines()
    assert lines[0] == f"{file}: 2 problems"
    assert {line.endswith(" (override engine.stepz=1)") for line in lines[1:] if "stepz" in line} == {True}
    assert all("override" not in line for line in lines if "sead" in line)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=discriminator/mpd",
         "model: discriminator/mpd is a discriminator, and the trainer gan_vocoder needs a vocoder: vocoder/"),
        ("model.name=discriminator/msd", "model: discriminator/msd is a discriminator"),
        ("trainer.discriminators=[discriminator/mpd, vocoder/hifigan]",
         "trainer.discriminators.1: vocoder/hifigan is a vocoder, and a discriminator is needed here: discriminator/"),
        ("trainer.discriminators=[{name: tts/vits}]", "trainer.discriminators.0: tts/vits is a tts"),
    ],
)  # fmt: skip
def test_a_model_of_another_family_is_refused_when_the_recipe_is_read(path, override, message):
    with pytest.raises(RecipeError) as caught:
        recipe.read(path, [override])
    assert message in caught.value.message


def test_a_part_of_one_family_refuses_a_part_of_another():
    class Holder(BaseConfig):
        vocoder: VocoderPart | None = None
        judge: DiscriminatorPart | None = None

    part = ModelPart.named("vocoder/griffin_lim")
    assert validate(Holder, {"vocoder": part}).vocoder == part
    with pytest.raises(RecipeError, match="judge: vocoder/griffin_lim is a vocoder, and a discriminator is needed"):
        validate(Holder, {"judge": part})


def test_a_long_override_is_no_file_name():
    words = ["trainer.discriminators=[" + "discriminator/mpd, " * 30 + "]", "hifigan_v1"]
    assert recipe.name_and_overrides(words) == ("hifigan_v1", words[:1])
