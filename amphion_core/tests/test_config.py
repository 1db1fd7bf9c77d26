"""Configs, Parts, YAML and recipes: all problems at once, by name, and everything comes back as it was written."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import Field

import amphion_core as amphion
from amphion_core import recipe, yaml
from amphion_core.api import BaseConfig, FeaturePart, FrontendConfig, FrontendPart, Mel, MelConfig, ModelPart
from amphion_core.config import checked_call, validate
from amphion_core.data.config import DataConfig
from amphion_core.errors import RecipeError


class Pair(BaseConfig):
    """A config with parts inside."""

    first: ModelPart = Field(default="vocoder/griffin_lim", description="one")
    others: tuple[ModelPart, ...] = Field(default=(), description="several")
    feature: FeaturePart | None = Field(default=None, description="a feature, or none")
    size: int = Field(default=1, gt=0, description="count")


def test_a_part_is_written_flat_and_comes_back_equal():
    pair = validate(Pair, {"first": {"name": "vocoder/griffin_lim", "iterations": 7}, "others": ["vocoder/hifi_gan"]})
    written = pair.model_dump(mode="json")
    assert written["first"] == {"name": "vocoder/griffin_lim", "iterations": 7}
    assert written["others"] == ["vocoder/hifigan"]  # an alias is written back canonical
    assert Pair.model_validate(written) == pair


def test_a_part_builds_its_component_and_a_card_gives_its_config():
    part = ModelPart.named("vocoder/hifigan@v2")
    assert part.config.channels == 128
    assert type(FrontendPart.named("characters").build()).__name__ == "Characters"


def test_every_problem_is_told_at_once_with_its_path_and_the_nearest_key():
    values = {
        "first": {"name": "vocoder/hifigan", "chanels": 3},
        "others": ["vocoder/hifigan", {"name": "vocoder/hifgan"}, {"name": "vocoder/griffin_lim", "momentum": 2}],
        "feature": 5,
        "siz": 1,
        "size": "many",
    }
    with pytest.raises(RecipeError) as caught:
        validate(Pair, values)
    text = str(caught.value)
    assert "6 problems" in text
    for line in (
        "first.chanels: no such field; did you mean channels?",
        "others.1: no model named 'vocoder/hifgan' is installed; did you mean vocoder/hifigan?",
        "others.2.momentum: input should be less than 1",
        "feature: a feature is written as its name",
        "siz: no such field; did you mean size?",
        "size: input should be a valid integer",
    ):
        assert line in text, text


def test_configs_are_frozen_and_replaced():
    config = MelConfig.preset("hifigan_22k_80")
    with pytest.raises(ValueError, match="frozen"):
        config.n_mels = 3
    assert config.replace(n_mels=3).n_mels == 3
    with pytest.raises(RecipeError, match="n_mel: no such field; did you mean n_mels"):
        config.replace(n_mel=3)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_yaml_reads_back_what_it_writes(tree):
    assert yaml.parse(yaml.dump(tree)) == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [("5e-4", 5e-4), ("1e6", 1e6), ("no", "no"), ("on", "on"), ("12:30", "12:30"), ("010", 10),
     ("0x1f", 31), ("~", None), ("2020-01-01", "2020-01-01"), ("True", True),
     (".inf", float("inf")), ("1_000", "1_000"), ("", None)],
)  # fmt: skip
def test_yaml_scalars_mean_what_people_expect(text, value):
    found = yaml.parse(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "told"),
    [("a: 1\na: 2", "line 2, column 1: the key 'a' is given twice"), ("a: [1", "line"),
     ("!!python/object:os.system {}", "line 1"),
     ("? [a]\n: 1", "a key must be a plain value")],
)  # fmt: skip
def test_yaml_errors_have_a_place(text, told):
    with pytest.raises(RecipeError, match=told.replace("[", r"\[")):
        yaml.parse(text, where="x.yaml")


RECIPE = """
# A test.
name: small
audio: {preset: hifigan_22k_80, fmax: null}
model: vocoder/hifigan@v2
optim: {name: adamw, lr: 2e-4}
seed: 3
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "small.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path / "small.yaml"


def test_the_mel_is_handed_to_the_parts_and_written_once(path):
    read = recipe.read(str(path))
    assert read.model.config.mel == read.audio and read.audio.fmax is None
    assert read.model.config.channels == 128
    resolved = read.resolved()
    assert resolved.count("n_mels") == 1
    assert recipe.check(yaml.parse(resolved)) == read
    assert recipe.Recipe.model_validate(read.model_dump(mode="json")) == read


def test_overrides_reach_into_parts_and_lists(path):
    read = recipe.read(
        str(path), ["optim.lr=1e-5", "model.channels=64", "data.root=[{root: a}, {root: b}]", "data.root.1.root=c"]
    )
    assert read.optim.lr == 1e-5 and read.model.config.channels == 64
    assert [source.root for source in read.data.root] == ["a", "c"]


def test_another_model_name_drops_the_keys_of_the_former(path):
    read = recipe.read(str(path), ["model.channels=64", "model.name=vocoder/griffin_lim"])
    assert read.model.name == "vocoder/griffin_lim"


@pytest.mark.parametrize(
    ("override", "told"),
    [("optim", "is not an override"), ("data.root=[a]", None), ("seed.deep=1", "seed is 3, and has no keys"),
     ("trainr=x", "trainr: no such field; did you mean trainer"), ("audio.n_mels=-1", "audio.n_mels"),
     ("model.mel.n_fft=3", "n_fft")],
)  # fmt: skip
def test_wrong_overrides_are_told(path, override, told):
    if told is None:
        recipe.read(str(path), [override])
        with pytest.raises(RecipeError, match="not an index of a list of 1"):
            recipe.read(str(path), [override, "data.root.4=1"])
        return
    with pytest.raises(RecipeError, match=told):
        recipe.read(str(path), [override])


def test_a_model_that_does_not_fit_the_audio_is_told_before_anything_runs(path):
    with pytest.raises(RecipeError, match=r"model: upsample_rates: product 256 is not mel\.hop_length 128"):
        recipe.read(str(path), ["audio.hop_length=128"])


def test_unknown_recipes_and_files_are_reported(tmp_path):
    with pytest.raises(RecipeError, match="there is no recipe 'hifigan_ljspech'"):
        recipe.read("hifigan_ljspech")
    with pytest.raises(RecipeError, match="there is no file"):
        recipe.read(str(tmp_path / "none.yaml"))


def test_build_checks_its_arguments_like_a_recipe():
    with pytest.raises(RecipeError, match="vocoder/griffin_lim: 2 problems"):
        amphion.build("vocoder/griffin_lim", iterations=0, momentun=0.5)


def test_mel_may_be_a_name_a_change_or_a_config():
    class Holder(BaseConfig):
        mel: Mel = Field(default="hifigan_22k_80", description="mel")

    assert Holder().mel == MelConfig.preset("hifigan_22k_80")
    assert Holder(mel={"preset": "bigvgan_24k_100", "n_mels": 80}).mel.sample_rate == 24000


def test_numbers_are_finite_and_true_is_no_number():
    class Schedule(BaseConfig):
        rate: float = 1.0
        steps: int = 1
        betas: tuple[float, float] = (0.8, 0.99)
        average: bool | float = False
        limit: float = Field(default=math.inf, allow_inf_nan=True)

    values = {"rate": math.nan, "steps": True, "betas": [False, 0.9], "average": True}
    with pytest.raises(RecipeError) as raised:
        validate(Schedule, values)
    lines = raised.value.message.splitlines()
    assert [line.strip().partition(":")[0] for line in lines[1:]] == ["rate", "steps", "betas"]
    assert "finite" in lines[1] and "a number is needed, got True" in lines[2]
    assert validate(Schedule, {"average": True}).average is True


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(RecipeError) as raised:
        validate(FrontendConfig, {"language": ["x" * 100_000]})
    assert len(raised.value.message) < 400


def test_data_without_end_are_a_clear_error():
    deep: list = []
    deep.append(deep)
    with pytest.raises(RecipeError):
        validate(FrontendConfig, {"symbols": deep})


def test_a_list_of_one_wrong_item_is_one_problem():
    with pytest.raises(RecipeError, match="1 problem") as caught:
        amphion.build("discriminator/mpd", periods=[10**15])
    assert "periods.0" in caught.value.message


def test_lengths_that_no_item_can_have_are_refused():
    with pytest.raises(RecipeError, match="shortest: 5 s is above longest, 1 s"):
        validate(DataConfig, {"root": "prepared", "shortest": 5, "longest": 1}, where="data")


def test_a_checked_call_converts_its_arguments_and_names_each_wrong_one():
    @checked_call
    def count(folder: Path, times: int = 1, **more: int) -> tuple[str, int, int]:
        return folder.name, times, sum(more.values())

    assert count("a/b", 2, x=3) == ("b", 2, 3)
    with pytest.raises(RecipeError, match="2 problems") as caught:
        count(5, times="many")
    assert "folder: " in caught.value.message and "times: " in caught.value.message
    with pytest.raises(TypeError, match="missing a required argument: 'folder'"):
        count()
