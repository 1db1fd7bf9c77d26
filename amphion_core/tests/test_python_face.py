"""Wrong types at the public functions are errors of Amphion that say what is needed."""

from pathlib import Path

import pytest
import torch

import amphion_core as amphion
from amphion_core import weights
from amphion_core.errors import (
    AmphionError,
    AudioError,
    DeviceError,
    InvalidComponent,
    RecipeError,
    UnknownComponent,
    WeightsError,
)
from amphion_core.loading import find_layout, open_weights

NAME = "vocoder/hifigan"
NO_TEXT = [5, None, b"vocoder/hifigan", [], {}, 1.5, ("a",), object, float("nan"), True]


class Unprintable:
    def __repr__(self):
        raise ValueError


@pytest.mark.parametrize("value", [*NO_TEXT, Unprintable()], ids=lambda value: type(value).__name__)
def test_a_name_that_is_no_text_is_an_invalid_component(value):
    for function in (amphion.build, amphion.task, lambda name: amphion.get("models", name), amphion.list,
                     lambda name: amphion.find("models", name), lambda name: amphion.find(name, "mel"),
                     lambda name: amphion.list("models", name),
                     lambda name: amphion.import_model(name, {}, layout="jik876")):  # fmt: skip
        with pytest.raises(InvalidComponent, match="is named by text, got"):
            function(value)


@pytest.mark.parametrize("value", NO_TEXT, ids=lambda value: type(value).__name__)
def test_weights_are_text_or_a_path(value):
    for function in (amphion.load, open_weights):
        with pytest.raises(InvalidComponent, match="weights are named by text or a path, got"):
            function(value)


@pytest.mark.parametrize(
    "name", ["", "/", "@", "vocoder/", "vocoder/hifigan@", "..", "\0", "a" * 400, "Vocoder/HiFiGAN"]
)
def test_text_that_is_no_name_is_refused(name):
    with pytest.raises(UnknownComponent):
        amphion.build(name)
    with pytest.raises(AmphionError):
        amphion.load(name)


@pytest.mark.parametrize("value", [5, None, b"x", [], 1.5], ids=lambda value: type(value).__name__)
def test_a_checkpoint_is_a_path_or_a_state_dict(value):
    for function in (find_layout, lambda *words: amphion.import_model(*words, layout="jik876", config={})):
        with pytest.raises(WeightsError, match="a checkpoint is a path or a state dict, got"):
            function(NAME, value)


def test_config_and_files_are_named_values():
    for fields in ({"config": 5}, {"config": "config.json"}, {"config": {}, "files": ["vocab.json"]}):
        with pytest.raises(WeightsError, match="named values are needed, got"):
            amphion.import_model(NAME, {"w": torch.zeros(1)}, layout="jik876", **fields)


@pytest.mark.parametrize("precision", ["fp8", "BF16", "float16", None, 5, []])
def test_a_precision_that_is_not_offered_is_refused_before_anything_is_loaded(tmp_path, precision):
    for function in (
        lambda **fields: amphion.load(tmp_path / "absent", **fields),
        lambda **fields: amphion.task("vocoder", **fields),
    ):
        with pytest.raises(RecipeError, match="is neither float32 nor bf16"):
            function(precision=precision)


@pytest.mark.parametrize("device", [7, None, "gpu", [], -1, 1.5, "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_named(tmp_path, device):
    with pytest.raises(DeviceError, match="this computer has no device"):
        amphion.load(tmp_path, device=device)


def test_a_field_that_is_none_of_the_config_is_named():
    with pytest.raises(RecipeError, match="tag: no such field"):
        amphion.build(NAME, tag=3)


@pytest.mark.parametrize(
    "fields",
    [
        {"channels": 2**40}, {"channels": 2**62}, {"channels": 2**70}, {"channels": 2**24},
        {"resblock_kernels": (2**40 + 1,), "resblock_dilations": ((1,),)},
    ],
)  # fmt: skip
def test_a_network_that_does_not_fit_into_the_memory_is_refused(fields):
    with pytest.raises(RecipeError, match=r"cannot be built|channels|resblock_kernels"):
        amphion.build(NAME, **fields)


def test_the_limit_ends_with_the_network_that_it_was_for(tmp_path):
    from amphion_core.checkpoints.network_size import bounded

    with pytest.raises(RecipeError, match=r"more than 0\.0 GB"), bounded("a", 1000):
        torch.nn.Linear(100, 100)
    torch.nn.Linear(100, 100)
    component = amphion.get("models", NAME)
    folder = weights.save(component(component.example_config()), tmp_path / "w")
    assert amphion.load(Path(folder)) and amphion.load(str(folder))


@pytest.mark.parametrize("name", ["discriminator/mpd", "discriminator/mpd@x"])
def test_a_model_of_another_family_is_no_vocoder(name):
    from amphion_core.vocoding import open_vocoder

    with pytest.raises(AmphionError, match=r"discriminator/mpd.* is a discriminator, and a vocoder is needed"):
        open_vocoder(name)


@pytest.mark.parametrize("value", [torch.zeros(3), 10**30, object, float("nan")])
def test_a_device_and_a_precision_of_a_wrong_type_are_errors_of_amphion(value):
    with pytest.raises(DeviceError):
        amphion.task("vocoder", model="vocoder/griffin_lim", device=value)
    with pytest.raises(RecipeError, match="neither float32 nor bf16"):
        amphion.task("vocoder", model="vocoder/griffin_lim", precision=value)


def test_a_task_takes_a_path_and_refuses_what_is_no_request(tmp_path):
    place = weights.save(
        amphion.build(NAME, **amphion.get("models", NAME).example_config().model_dump()), tmp_path / "net"
    )
    task = amphion.task("vocoder", model=place)
    for wrong in (5, None, [], {"audio": 5}, object):
        with pytest.raises(RecipeError, match="audio: "):
            task.generate(wrong)


@pytest.mark.parametrize("pieces", [5, "a", [1], None, [[]], range(3)])
def test_only_audio_is_joined(pieces):
    with pytest.raises(AudioError, match="only a list of Audio"):
        amphion.Audio.concatenate(pieces)
