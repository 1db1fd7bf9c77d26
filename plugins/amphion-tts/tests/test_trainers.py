"""What trainers of text to speech share: batches with texts, and validation by speaking."""

import math
import pickle
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from amphion_core.api import FrontendPart, MetricPart, Score, Synthesis
from amphion_core.component import Utterance
from amphion_core.data.batch import Example
from amphion_core.errors import DataError, MissingPackage, RecipeError
from amphion_tts.models.vits import VITS
from amphion_tts.trainers.spoken_validation import SpokenValidation
from amphion_tts.trainers.text_batch import TextCollator

SYMBOLS = ("_", " ", "a", "b", "c")


@pytest.fixture
def frontend():
    return FrontendPart.named("characters", symbols=SYMBOLS, language="en", blank=None)


def example(text, *, id="one", samples=40, speaker=""):
    return Example(Utterance(id, "one.wav", 1.0, text=text, speaker=speaker), np.zeros(samples, np.float32))


def test_texts_become_padded_ids_and_are_counted(frontend):
    batch = TextCollator(frontend)([example("abc"), example("b", id="two", samples=20)])
    assert batch["ids"].tolist() == [[2, 3, 4], [3, 0, 0]]
    assert batch["id_lengths"].tolist() == [3, 1] and batch["lengths"].tolist() == [40, 20]
    assert batch.counts["tokens"] == 4 and "speaker" not in batch


def test_speakers_are_indices_of_the_models_table_and_others_are_refused_by_item(frontend):
    collate = TextCollator(frontend, ["ann", "tom"])
    assert collate([example("a", speaker="tom"), example("b", speaker="ann")])["speaker"].tolist() == [1, 0]
    with pytest.raises(DataError, match="item one: the model has no speaker 'tim'"):
        collate([example("a", speaker="tim")])


def test_a_symbol_that_the_model_lacks_is_named_with_its_item(frontend):
    with pytest.raises(DataError, match=r"item one: .*'z'.*in the text 'abz'"):
        TextCollator(frontend)([example("abz")])


def test_a_missing_package_of_the_frontend_is_not_blamed_on_the_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "phonemizer.backend.espeak.wrapper", None)
    monkeypatch.setitem(sys.modules, "phonemizer", None)
    with pytest.raises(MissingPackage):
        TextCollator(FrontendPart.named("espeak", language="en-us"))([example("abc")])


def test_a_collator_that_has_worked_still_pickles(frontend):
    collate = TextCollator(frontend)
    collate([example("a")])
    assert pickle.loads(pickle.dumps(collate))([example("c")])["ids"].tolist() == [[4]]


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    config = VITS.example_config()
    frontend = FrontendPart.named("characters", symbols=SYMBOLS, language="en", blank=None)
    return VITS(config.replace(frontend=frontend, n_speakers=1, speakers=(), length_scale=2.0)).eval()


def test_each_item_is_spoken_and_scored(tiny):
    spoken = SpokenValidation((MetricPart.named("m_stft"),), tiny)
    batch = TextCollator(tiny.config.frontend)(
        [example("abcabcabc", samples=4000), example("b", id="x/two", samples=4000)]
    )
    found = spoken(tiny, batch)
    assert spoken.higher_is_better == {"m_stft": False, "real_time_factor": False}
    assert {name: len(values) for name, values in found.scores.items()} == {"m_stft": 2, "real_time_factor": 2}
    assert set(found.audio) == {"spoken_one", "spoken_x_two"} and min(found.scores["real_time_factor"]) > 0
    again = spoken(tiny, batch)
    assert all(torch.equal(found.audio[name], again.audio[name]) for name in found.audio)


def test_in_a_training_in_bf16_the_vocoder_still_computes_in_float32(tiny, monkeypatch):
    mel = torch.randn(1, tiny.config.mel.n_mels, 20, generator=torch.Generator().manual_seed(0)).bfloat16()
    made = Synthesis(torch.tensor([20]), mel=mel)
    monkeypatch.setattr(tiny, "synthesize", lambda *args, **kwargs: made)
    spoken = SpokenValidation((MetricPart.named("m_stft"),), tiny, "vocoder/griffin_lim")
    batch = TextCollator(tiny.config.frontend)([example("abc", samples=4000)])
    with torch.autocast("cpu", torch.bfloat16):
        found = spoken(tiny, batch)
    assert torch.equal(found.audio["spoken_one"], spoken(tiny, batch).audio["spoken_one"])


def test_a_network_that_speaks_less_than_one_frame_is_scored_too(tiny, monkeypatch):
    short = Synthesis(torch.tensor([3]), wave=torch.ones(1, 3))
    monkeypatch.setattr(tiny, "synthesize", lambda *args, **kwargs: short)
    spoken = SpokenValidation((MetricPart.named("m_stft"),), tiny)
    found = spoken(tiny, TextCollator(tiny.config.frontend)([example("abc", samples=4000)]))
    wave = found.audio["spoken_one"]
    assert len(wave) == tiny.config.mel.n_fft and wave.count_nonzero() == 3


def test_a_missing_recogniser_is_reported_with_its_pip_command_and_the_metrics_that_remain(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    recognizer = {"name": "faster_whisper", "model": "whisper-tiny.en"}  # one that no other test has loaded
    spoken = SpokenValidation((MetricPart.named("wer", recognizer=recognizer), MetricPart.named("m_stft")), tiny)
    with pytest.raises(RecipeError, match=r"trainer\.metrics: wer cannot be computed: .* faster-whisper") as raised:
        spoken(tiny, TextCollator(tiny.config.frontend)([example("abcabcabc", samples=4000)]))
    assert 'pip install "amphion-eval[asr-base]"' in raised.value.hint
    assert raised.value.hint.endswith("trainer.metrics=[m_stft] trains without wer")


def test_metrics_listen_in_the_language_of_the_frontend_unless_they_state_another(tiny):
    frontend = FrontendPart.named("characters", symbols=SYMBOLS, language="de-at", blank=None)
    german = VITS(tiny.config.replace(frontend=frontend))
    spoken = SpokenValidation((MetricPart.named("wer"), MetricPart.named("cer", language="fr")), german)
    assert [metric.config.language for metric in spoken.metrics.values()] == ["de", "fr"]


class Echo(VITS):
    """Says the prompt again, whatever the text is."""

    takes_prompt = True
    sample_rate = 22050

    def __init__(self, config):
        super().__init__(config)
        self.config = SimpleNamespace(frontend=config.frontend)  # without a mel, as a model of codes

    def synthesize(self, ids, lengths, speaker=None, *, prompt=None, seed=None, controls=None):
        assert prompt.ids.shape[1] == prompt.id_lengths[0] and prompt.wave.shape[1] == prompt.lengths[0]
        return Synthesis(prompt.lengths, wave=prompt.wave)


def test_a_model_that_imitates_gets_the_prompt_of_its_item_and_is_compared_with_both(tiny, monkeypatch):
    random = np.random.default_rng(0)
    waves = [random.uniform(-0.5, 0.5, size).astype(np.float32) for size in (4000, 6000, 5000)]
    items = [
        Example(Utterance(str(index), "x.wav", 1.0, text="abc"[: index + 1]), wave) for index, wave in enumerate(waves)
    ]
    pairs = [replace(items[0], partner=items[1]), replace(items[1], partner=items[2])]
    echo = Echo(tiny.config)
    spoken = SpokenValidation((MetricPart.named("si_sdr"), MetricPart.named("sim_o")), echo)

    def largest_error(self, generated, reference, *, text):
        return Score(float(np.abs(generated.samples - reference.samples).max()))

    monkeypatch.setattr(type(spoken.metrics["sim_o"]), "measure", largest_error)
    assert spoken.needs_prompts and not SpokenValidation((), echo).needs_prompts
    batch = TextCollator(echo.config.frontend)(pairs)
    assert batch["prompt_ids"].tolist() == [[2, 3, 0], [2, 3, 4]] and batch["prompt_id_lengths"].tolist() == [2, 3]
    found = spoken(echo, batch)
    assert found.scores["sim_o"] == [0.0, 0.0] and max(found.scores["si_sdr"]) < 0
    alone = spoken(echo, TextCollator(echo.config.frontend)(items[:1]))
    assert not alone.audio and all(math.isnan(value) for (value,) in alone.scores.values())


def test_a_text_of_which_nothing_is_generated_is_scored_as_silence(tiny, monkeypatch):
    def nothing(*arguments, **options):
        raise DataError("nothing was generated")

    monkeypatch.setattr(tiny, "synthesize", nothing)
    spoken = SpokenValidation((MetricPart.named("m_stft"),), tiny)
    batch = TextCollator(tiny.config.frontend)([example("abc", samples=4000)])
    with pytest.warns(UserWarning, match="item one is scored as silence: nothing was generated"):
        found = spoken(tiny, batch)
    assert found.audio["spoken_one"].count_nonzero() == 0 and len(found.scores["m_stft"]) == 1


def test_a_model_without_prompts_refuses_a_metric_of_prompts(tiny):
    with pytest.raises(RecipeError, match="sim_o needs prompt, and a validation has recordings and their texts"):
        SpokenValidation((MetricPart.named("sim_o"),), tiny)


def test_without_metrics_nothing_is_spoken_and_metrics_that_need_more_are_refused(tiny):
    spoken = SpokenValidation((), tiny)
    batch = TextCollator(tiny.config.frontend)([example("abc")])
    assert not spoken(tiny, batch).scores and not spoken(tiny, batch).audio and not spoken.higher_is_better
    with pytest.raises(RecipeError, match="needs whole sets of files"):
        SpokenValidation((MetricPart.named("fad"),), tiny)
