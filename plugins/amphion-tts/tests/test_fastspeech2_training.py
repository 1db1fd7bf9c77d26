"""Training of FastSpeech 2: two sentences are learned, from each source of durations, and what cannot be trained."""

import csv

import numpy as np
import pytest
import soundfile
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes, yaml
from amphion_core.errors import AmphionError, DataError, RecipeError, WeightsError
from amphion_core.features.mel import mel_spectrogram
from amphion_core.mel import MelConfig
from amphion_core.training.run import build_trainer, train
from amphion_core.training.run_folder import RunFolder
from amphion_core.vocoding import own_vocoder
from amphion_core.weights import save
from amphion_tts.models.fastspeech2 import FastSpeech2

MEL = {"preset": "hifigan_22k_80", "n_mels": 20, "hop_length": 256}
LETTERS = ("_", *" .,!?'-", *"abcdefghijklmnopqrstuvwxyz")
MODEL = {
    "name": "tts/fastspeech2", "frontend": {"name": "characters", "symbols": LETTERS, "begin": " ", "end": " "},
    "hidden_channels": 32, "encoder_layers": 1, "decoder_layers": 1, "filter_channels": 64, "kernels": [3, 1],
    "dropout": 0.0, "predictor_channels": 32, "predictor_dropout": 0.0, "n_bins": 16, "postnet_channels": 0,
    "aligner": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def clips(data_pack, tmp_path_factory):
    """Two short sentences of a real voice, prepared; both splits have the same items."""
    folder = tmp_path_factory.mktemp("clips")
    with (data_pack / "kathleen_en" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["duration"]))[20:22]
    lines = []
    for row in rows:
        wave, rate = soundfile.read(data_pack / "kathleen_en" / row["path"], dtype="float32")
        soundfile.write(folder / f"{row['id']}.wav", wave, rate, subtype="FLOAT")
        lines.append((row["id"], len(wave) / rate, row["text"]))
    return folder, lines


def prepared(clips, target, texts=None):
    """A prepared folder of the clips, with other ``texts`` where they are given."""
    from amphion_core.component import Utterance
    from amphion_core.data.manifest import Record

    folder, lines = clips
    target.mkdir()
    texts = texts or [text for _, _, text in lines]
    records = [
        Record(Utterance(id, f"{id}.wav", duration, text=text, speaker="kathleen"), 22050, f"digest-{id}").line() + "\n"
        for (id, duration, _), text in zip(lines, texts, strict=True)
    ]
    for split in ("train", "dev"):
        (target / f"{split}.jsonl").write_text("".join(records), encoding="utf-8")
    (target / "dataset.yaml").write_text(yaml.dump({"root": str(folder)}), encoding="utf-8")
    return target


def make(root, steps, *, model=None, **trainer):
    return recipes.check({
        "name": "two", "audio": MEL, "seed": 1, "model": MODEL | (model or {}),
        "data": {"root": str(root), "budget": 20},
        "trainer": {"name": "fastspeech2", "binarization_start": 60, **trainer},
        "optim": {"lr": 4e-3, "betas": [0.9, 0.98]},
        "engine": {"steps": steps, "device": "cpu", "log_every": 1, "validate_every": steps},
    })  # fmt: skip


def run(recipe, folder):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    weights = train(recipe, folder)
    torch.set_num_threads(threads)
    return weights, RunFolder(folder).curve()


@pytest.fixture(scope="module")
def learned(clips, tmp_path_factory):
    """A run of 150 steps with learned durations: its data, its weights and its curve."""
    folder = tmp_path_factory.mktemp("learned")
    root = prepared(clips, folder / "data")
    return root, *run(make(root, 150), folder / "run")


def test_two_sentences_are_learned_with_their_alignment(learned):
    _, _, curve = learned
    first, last = curve[0], curve[-2]
    assert first["model/mel"] > 2.0
    assert last["model/mel"] < 0.5
    assert last["model/forward_sum"] < 0.5 * first["model/forward_sum"]
    assert "model/binarization" not in curve[59] and "model/binarization" in curve[60]
    scores = curve[-1]
    assert scores["dev/mel"] < 0.5 and scores["dev/duration"] < 1.0 and scores["dev/pitch"] < 0.3


def test_a_learned_sentence_is_spoken_as_it_was_recorded(learned, clips):
    _, weights, _ = learned
    net = amphion.load(weights)
    folder, lines = clips
    id, _, text = lines[0]
    frontend = net.config.frontend.build()
    row = frontend.ids(frontend.tokens(text))
    made = net.synthesize(torch.tensor([row]), torch.tensor([len(row)]))
    wave, _ = soundfile.read(folder / f"{id}.wav", dtype="float32")
    real = mel_spectrogram(torch.from_numpy(wave)[None], net.config.mel)
    assert abs(int(made.lengths[0]) - real.shape[2]) <= 12
    count = min(made.mel.shape[2], real.shape[2])
    assert float((made.mel[..., :count] - real[..., :count]).abs().mean()) < 1.5


def test_the_aligners_durations_sum_to_the_frames_of_each_recording(learned, clips):
    root, weights, _ = learned
    net = amphion.load(weights)
    trainer = build_trainer(
        make(root, 1, model={"pitch_mean": 200.0, "pitch_std": 40.0, "energy_mean": 1.0, "energy_std": 1.0})
    )
    from amphion_core.data.loader import Corpus

    corpus = Corpus(make(root, 1).data, "train", rate=22050, seed=0)
    batch = trainer.collator()([corpus.example(item, (0,)) for item in (0, 1)])
    durations = net.align(batch["ids"], batch["id_lengths"], batch["wave"], batch["lengths"])
    assert durations.sum(1).equal(batch["frames"]) and batch.counts["frames"] == int(batch["frames"].sum())


def test_a_run_whose_speaker_came_from_the_corpus_is_resumed_and_its_voice_states_the_vocoder(clips, tmp_path):
    root, vocoder = prepared(clips, tmp_path / "data"), "vocoder/griffin_lim"
    run(make(root, 1, vocoder=vocoder), tmp_path / "run")
    train(make(root, 2, vocoder=vocoder), tmp_path / "run", resume=True)
    assert own_vocoder(tmp_path / "run") == own_vocoder(tmp_path / "run" / "weights") == vocoder
    assert [line["step"] for line in RunFolder(tmp_path / "run").curve() if "model/mel" in line] == [1, 2]
    assert amphion.load(tmp_path / "run" / "weights").config.speakers == ("kathleen",)


def test_durations_of_another_model_train_without_an_aligner(learned, tmp_path):
    root, weights, _ = learned
    _, curve = run(make(root, 2, model={"aligner": False}, durations={"model": str(weights)}), tmp_path / "run")
    assert curve[0]["model/mel"] > 1 and "model/forward_sum" not in curve[0]
    assert "dev/mel" in curve[-1] and "dev/longest_token" not in curve[-1]


def test_durations_of_textgrids_train_without_an_aligner(clips, tmp_path):
    from praatio import textgrid
    from praatio.utilities.constants import Interval

    grids = tmp_path / "grids"
    grids.mkdir()
    for id, duration, text in clips[1]:
        letters = [letter for letter in text.lower() if letter.isalpha()]
        borders = np.linspace(0.1, duration - 0.1, len(letters) + 1)
        entries = [Interval(borders[i], borders[i + 1], letter) for i, letter in enumerate(letters)]
        grid = textgrid.Textgrid()
        grid.addTier(textgrid.IntervalTier("phones", entries, 0, duration))
        grid.save(str(grids / f"{id}.TextGrid"), "short_textgrid", includeBlankSpaces=True)
    root = prepared(clips, tmp_path / "data")
    recipe = make(root, 2, model={"aligner": False, "pitch_level": "frame"}, durations={"textgrids": str(grids)})
    _, curve = run(recipe, tmp_path / "run")
    assert curve[0]["model/duration"] > 0 and "dev/mel" in curve[-1]
    (grids / f"{clips[1][0][0]}.TextGrid").unlink()
    recipe = make(root, 1, model={"aligner": False}, durations={"textgrids": str(grids)})
    corpus_reasons = [build_trainer_unusable(recipe, item) for item in (0, 1)]
    assert corpus_reasons == ["no TextGrid", None]


def build_trainer_unusable(recipe, item):
    """The reason why an item of the training split is left out."""
    from amphion_core.data.manifest import Manifest

    statistics = {"pitch_mean": 200.0, "pitch_std": 40.0, "energy_mean": 1.0, "energy_std": 1.0}
    config = recipe.model.config.replace(**statistics)
    trainer = build_trainer(recipe.model_copy(update={"model": type(recipe.model)(recipe.model.name, config)}))
    return trainer.unusable(Manifest(recipe.data.root[0].root, "train")[item].utterance)


@pytest.mark.parametrize(
    ("texts", "reasons"),
    [
        (["", "hello"], ["no text", None]),
        (["a" * 4000, "hello"], ["a text too long for the recording (fewer frames than tokens)", None]),
    ],
)
def test_items_that_cannot_be_learned_are_left_out_with_the_reason(clips, tmp_path, texts, reasons):
    recipe = make(prepared(clips, tmp_path / "data", texts), 1)
    assert [build_trainer_unusable(recipe, item) for item in (0, 1)] == reasons


def test_an_unknown_symbol_is_named_with_its_item(clips, tmp_path):
    recipe = make(prepared(clips, tmp_path / "data", ["prix: 5 €", "hello"]), 1)
    with pytest.raises(DataError, match=f"item {clips[1][0][0]}: "):
        build_trainer_unusable(recipe, 0)


def test_a_voice_without_aligner_is_fine_tuned_with_a_new_one_which_learns_alone_at_first(learned, tmp_path):
    root, place, _ = learned
    trained = amphion.load(place)
    voice = FastSpeech2(trained.config.replace(aligner=False))
    voice.load_state_dict({name: value for name, value in trained.state_dict().items() if "aligner." not in name})
    source = save(voice, tmp_path / "voice")
    recipe = make(root, 2, aligner_steps=2)
    begin = {"init_from": {"model": {"source": str(source), "missing": "keep"}}}
    with pytest.raises(WeightsError, match=r"has no aligner\.\*, which the model of the recipe has") as caught:
        run(recipe.replace(engine=recipe.engine.replace(init_from=str(source))), tmp_path / "refused")
    assert caught.value.hint.startswith(f'"engine.init_from={{model: {{source: {source}, missing: keep}}}}"')
    weights, curve = run(recipe.replace(engine=recipe.engine.replace(**begin)), tmp_path / "run")
    found = amphion.load(weights).state_dict()
    for name, value in voice.state_dict().items():  # weight decay alone changes them
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-6)
    assert all("model/mel" not in line for line in curve[:2])
    assert curve[0]["model/forward_sum"] != curve[1]["model/forward_sum"]  # of the same items: the aligner has changed


def test_the_source_of_durations_and_the_aligner_must_agree(learned, tmp_path):
    root, weights, _ = learned
    with pytest.raises(RecipeError, match=r"model\.aligner: the durations are learned, and the model has no aligner"):
        build_trainer(make(root, 1, model={"aligner": False}))
    with pytest.raises(RecipeError, match="the model's aligner would not be trained"):
        build_trainer(make(root, 1, durations={"model": str(weights)}))
    with pytest.raises(RecipeError, match="aligner_steps: durations are given, so there is no aligner to train"):
        make(root, 1, durations={"model": str(weights)}, aligner_steps=1)
    other = {"frontend": {"name": "characters", "symbols": LETTERS}, "aligner": False}
    with pytest.raises(RecipeError, match="is not the model's, so their tokens differ"):
        build_trainer(make(root, 1, model=other, durations={"model": str(weights)}))


def test_a_wrong_vocoder_is_found_before_the_first_step(learned):
    root, _, _ = learned
    with pytest.raises(AmphionError, match="runs/nothing"):
        build_trainer(make(root, 1, vocoder="runs/nothing"))


def test_every_recipe_of_fastspeech2_takes_the_vocoders_mel():
    for name in ("fastspeech2", "fastspeech2_small"):
        recipe = recipes.read(name)
        assert recipe.name == name and recipe.trainer.name == "fastspeech2"
        assert recipe.model.config.mel == MelConfig.preset("hifigan_22k_80")
        assert recipe.trainer.config.metrics == recipes.read("vits").trainer.config.metrics != ()  # they are spoken
        assert recipes.check(yaml.parse(recipe.resolved())) == recipe
