"""Speech in codes: what becomes of prompt and text, and what is said where something is missing."""

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import Audio, Prompt
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_tts.models.code_generation import CodeControls

IDS, LENGTHS = torch.tensor([[3, 4, 5]]), torch.tensor([3])


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    valle = amphion.get("models", "tts/valle_v1")
    return valle(valle.example_config()).for_inference()


@pytest.fixture
def heard(net, monkeypatch):
    """What the model is given; it says four frames."""
    found = {}

    def generate(ids, prompt_ids, prompt, generator, controls):
        found.update(ids=ids.tolist(), prompt_ids=prompt_ids.tolist(), prompt=prompt, controls=controls)
        return torch.zeros(3, 4, dtype=torch.long)

    monkeypatch.setattr(net, "generate_codes", generate)
    return found


def prompt(ids=((1, 2),), seconds=0.5):
    wave = torch.randn(1, int(seconds * 24000), generator=torch.Generator().manual_seed(0)) * 0.1
    given = None if ids is None else torch.tensor(ids)
    return Prompt(wave, torch.tensor([wave.shape[1]]), given, None if given is None else torch.tensor([given.shape[1]]))


def test_the_model_gets_both_texts_and_the_codes_of_whole_frames(net, heard):
    made = net.synthesize(IDS, LENGTHS, prompt=prompt(seconds=0.51), seed=0)
    assert heard["ids"] == [3, 4, 5] and heard["prompt_ids"] == [1, 2]
    assert heard["prompt"].shape == (3, 38)  # 0.51 s at 75 frames a second, the incomplete frame is left out
    assert made.wave.shape == (1, 4 * 320) and made.lengths.tolist() == [4 * 320]


def test_a_continuation_needs_no_text_of_the_prompt(net, heard):
    controls = net.controls({"continuation": True})
    net.synthesize(IDS, LENGTHS, prompt=prompt(None), controls=controls)
    assert heard["prompt_ids"] == [] and heard["controls"] is controls
    net.synthesize(IDS, LENGTHS, prompt=prompt(), controls=controls)
    assert heard["prompt_ids"] == []  # its words are in the text


def test_a_continuation_is_one_sentence_which_is_not_cut(tmp_path):
    valle = amphion.get("models", "tts/valle")
    task = amphion.task("tts", model=str(weights.save(valle(valle.example_config()), tmp_path / "model")))
    given = {
        "prompt": Audio(0.1 * np.random.default_rng(0).standard_normal(48000).astype(np.float32), 24000),
        "controls": {"continuation": True},
    }
    with pytest.raises(DataError, match="2 sentences") as raised:
        task.plan(task.request(text="the first one. the second one.", **given))
    assert "--prompt-text" in raised.value.hint
    text = "these are the words of the prompt, and after them come many others, until the sentence is at its end."
    assert len(task.plan(task.request(text=text, prompt_text="a", prompt=given["prompt"]), early=True).pieces) > 1
    assert len(task.plan(task.request(text=text, **given), early=True).pieces) == 1


def test_what_is_missing_is_named(net, heard):
    with pytest.raises(DataError, match="none is given"):
        net.synthesize(IDS, LENGTHS)
    with pytest.raises(DataError, match="text of the prompt"):
        net.synthesize(IDS, LENGTHS, prompt=prompt(None))
    with pytest.raises(DataError, match=r"0\.10 seconds"):
        net.synthesize(IDS, LENGTHS, prompt=prompt(seconds=0.1))


def test_nothing_generated_is_an_error_with_the_next_step(net, monkeypatch):
    monkeypatch.setattr(net, "generate_codes", lambda *_: torch.zeros(3, 0, dtype=torch.long))
    with pytest.raises(DataError, match="ended before its first frame"):
        net.synthesize(IDS, LENGTHS, prompt=prompt())


def test_end_and_begin_symbols_between_the_two_texts_are_left_out():
    valle = amphion.get("models", "tts/valle_v1")
    frontend = {"name": "characters", "symbols": ["<", ">", *"abc"], "begin": "<", "end": ">"}
    fields = {**valle.example_config().model_dump(), "frontend": frontend, "vocabulary": None}
    framed = valle(valle.Config(**fields))
    assert framed.joined(torch.tensor([0, 2, 3, 1]), torch.tensor([0, 4, 1])).tolist() == [0, 2, 3, 4, 1]
    assert framed.joined(torch.tensor([]), torch.tensor([0, 4, 1])).tolist() == [0, 4, 1]


def test_codecs_without_weights_or_of_other_sizes_are_refused():
    valle = amphion.get("models", "tts/valle_v1")
    fields = valle.example_config().model_dump()
    with pytest.raises(WeightsError, match="cannot be opened"):
        _ = valle(valle.Config(**fields | {"codec": "codec/encodec"})).sample_rate
    with pytest.raises(WeightsError, match="3 codebooks of 16 entries, and the model uses 3 of 32"):
        _ = valle(valle.Config(**fields | {"codebook_size": 32})).codec
    with pytest.raises(RecipeError, match="needs its number of symbols"):
        valle(valle.Config(**fields | {"vocabulary": None}))


def test_controls_are_bounded_and_an_unknown_one_lists_them(net):
    assert net.controls({"top_k": 5, "temperature": 0.95}) == net.Controls(top_k=5, temperature=0.95)
    assert issubclass(net.Controls, CodeControls)
    for wrong in ({"top_p": 0}, {"top_k": 0}, {"repetition_penalty": 0.5}, {"speed": 2}):
        with pytest.raises(RecipeError):
            net.controls(wrong)
