"""Options generated from a request: names, help, choices, dictionaries, recordings, and the checked request."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import Field, PlainValidator

import amphion_core as amphion
from amphion_core import registry
from amphion_core.api import Audio, AudioInput, BaseConfig, TaskFramework
from amphion_core.cli.main import main
from amphion_core.cli.parsing import Parser, parse
from amphion_core.cli.request_options import add_device_options, add_request_options, read_request
from amphion_core.config import limits
from amphion_core.errors import AudioError, RecipeError
from amphion_core.registry import ComponentRef
from amphion_core.request_fields import typed_values
from amphion_core.requests import FromFile


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Words(FromFile):
    """The words of a file."""

    found: tuple[str, ...]


WordsInput = Annotated[Words, PlainValidator(lambda path: Words(tuple(Path(path).read_text().split())))]


class Request(BaseConfig):
    """One field of every sort."""

    caption: str = Field(description="what to hear")
    duration: float = Field(default=5.0, gt=0, le=30, description="length, seconds")
    seed: int | None = Field(default=None, ge=0, description="variation")
    mode: Literal["fast", "good"] = Field(default="fast", description="how")
    size: Literal[1, 2] = Field(default=1, description="how large")
    colour: Colour = Field(default=Colour.RED, description="which colour")
    loud: bool = Field(default=True, description="100% loud")
    seeds: tuple[int, ...] = Field(default=(), description="several numbers")
    controls: dict[str, float | str] = Field(default_factory=dict, description="of the model")
    voice: AudioInput | None = Field(default=None, description="a recording")
    words: WordsInput | None = Field(default=None, description="a list of words")


class Task(TaskFramework):
    """A task that makes silence."""

    class Config(BaseConfig):
        """Nothing to choose."""

    Request = Request

    def __init__(self, config, *, precision="float32", device="cpu"):
        super().__init__(config)

    def generate(self, request):
        return Audio(np.zeros(int(request.duration)), 10)


def configure(parser):
    parser.add_argument("caption")
    add_request_options(parser, Request, skip=("caption",))
    add_device_options(parser)
    parser.set_defaults(run=run)


def run(args):
    request = read_request(args, Task, caption=args.caption)
    made = amphion.task("paint", precision=args.precision, device=args.device).generate(request)
    print(request.caption, made.duration, "s", request.controls)


@pytest.fixture
def parser():
    parser = Parser(prog="amphion paint")
    add_request_options(parser, Request)
    add_device_options(parser)
    return parser


def read(parser, line, **given):
    return read_request(parse(parser, line.split()), Task, **given)


def test_what_is_left_out_has_the_requests_own_default(parser):
    assert read(parser, "--caption rain") == Request(caption="rain")


def test_every_sort_of_field_is_read_back_with_its_type(parser):
    line = "--caption 12 --duration 3 --seed 7 --mode good --size 2 --colour blue --no-loud --seeds 1 --seeds 2"
    made = read(parser, line + " --control steps=8 --control scale=0.5 --control kind=ode")
    assert made == Request(
        caption="12", duration=3.0, seed=7, mode="good", size=2, colour="blue", loud=False, seeds=(1, 2),
        controls={"steps": 8, "scale": 0.5, "kind": "ode"},
    )  # fmt: skip


def test_the_help_shows_description_range_default_and_choices(parser):
    text = " ".join(parser.format_help().split())
    assert "--duration DURATION length, seconds; above 0, at most 30 (5.0)" in text
    assert "--seed SEED variation; at least 0 -" in text
    assert "--mode {fast,good} how (fast)" in text and "--loud, --no-loud 100% loud (true)" in text
    assert "--control NAME=VALUE of the model" in text and "--voice FILE a recording" in text
    assert "usage: amphion paint [-h] --caption CAPTION" in text


def test_a_recording_is_loaded_and_a_missing_one_is_named(parser, tmp_path):
    Audio(np.full(160, 0.25, np.float32), 16000).save(tmp_path / "voice.wav")
    assert read(parser, f"--caption a --voice {tmp_path}/voice.wav").voice.sample_rate == 16000
    with pytest.raises(AudioError, match="there is no such file"):
        read(parser, f"--caption a --voice {tmp_path}/no.wav")
    with pytest.raises(RecipeError, match="a recording is the path of an audio file"):
        Task.request(caption="a", voice=3)


def test_the_path_of_a_file_is_not_read_as_yaml(parser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("12").write_text("one two")
    assert "--words FILE a list of words" in " ".join(parser.format_help().split())
    assert read(parser, "--caption a --words 12").words == Words(("one", "two"))


def test_every_problem_is_reported_at_once_with_the_name_of_the_task(parser):
    with pytest.raises(RecipeError, match=" request: 2 problems") as caught:
        read(parser, "--caption a --duration 31 --seed x")
    assert "duration: input should be less than or equal to 30" in str(caught.value)
    with pytest.raises(RecipeError, match="'steps' is not NAME=VALUE"):
        read(parser, "--caption a --control steps")


def test_a_field_that_the_command_reads_itself_gets_no_option_and_is_given():
    parser = Parser()
    parser.add_argument("text")
    add_request_options(parser, Request, skip=("caption",))
    args = parse(parser, ["rain", "--duration", "2"])
    assert read_request(args, Task, caption=args.text) == Request(caption="rain", duration=2)


def test_the_request_has_a_schema_for_pages_and_servers():
    fields = Request.model_json_schema()["properties"]
    assert fields["duration"]["maximum"] == 30 and fields["duration"]["description"] == "length, seconds"
    assert {"type": "string", "format": "audio-file"} in fields["voice"]["anyOf"]


def test_a_third_party_command_with_a_task_needs_three_lines(capsys):
    def ref(kind, name, target):
        return ComponentRef(kind, name, f"{__name__}:{target}", "amphion-mine", "1", api="amphion_core.api:v1")

    with registry.temporary(ref("commands", "paint", "configure"), ref("tasks", "paint", "Task")):
        assert main(["paint", "--duration", "20", "rain", "--control", "steps=4"]) == 0
        assert capsys.readouterr().out == "rain 2.0 s {'steps': 4.0}\n"
        assert main(["paint", "rain", "--duration", "40"]) == 2
        assert "duration: input should be less than or equal to 30" in capsys.readouterr().err


def test_limits_in_words():
    shown = {name: limits(field) for name, field in Request.model_fields.items()}
    assert shown["duration"] == "above 0, at most 30" and shown["seed"] == "at least 0" and shown["caption"] == ""


@pytest.mark.parametrize(
    "given",
    [
        {"duration": 2.5, "loud": False, "seeds": [1, 2], "controls": {"steps": 20}, "size": 2},
        {"duration": "2.5", "loud": "false", "seeds": ["1", "2"], "controls": '{"steps": 20}', "size": "2"},
        {"duration": "2.5", "loud": "false", "seeds": "[1, 2]", "controls": "steps=20", "size": "2"},
        {"duration": "2.5", "loud": "false", "seeds": (1, "2"), "controls": ["steps=20"], "size": 2},
    ],
    ids=["JSON", "form", "short form", "command"],
)
def test_a_request_is_the_same_by_json_by_a_form_and_by_words(given):
    expected = Request(caption="12", duration=2.5, loud=False, seeds=(1, 2), controls={"steps": 20}, size=2)
    assert Request(**typed_values(Request, {"caption": "12", **given})) == expected


def test_one_value_of_several_needs_no_brackets():
    assert Request(caption="x", **typed_values(Request, {"seeds": "7"})).seeds == (7,)


def test_only_fields_that_read_files_are_given_to_who_reads_them():
    typed = {"caption": "a.wav", "voice": "a.wav", "words": "b.txt", "unknown": "c.txt"}
    read = typed_values(Request, typed, lambda name, value: f"{name} of {value}")
    assert read == {"caption": "a.wav", "voice": "voice of a.wav", "words": "words of b.txt", "unknown": "c.txt"}
