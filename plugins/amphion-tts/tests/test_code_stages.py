"""Training of VALL-E in two stages: sentences are spoken back code by code, and resumed runs are exact."""

import shutil

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes, weights
from amphion_core.api import open_codec
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_core.loading import open_weights
from amphion_core.parts import CodecPart
from amphion_core.training import checkpoint
from amphion_core.training.run import build_trainer, train
from amphion_core.training.run_folder import RunFolder
from amphion_tts.models.code_generation import CodeControls

RATE = 24000
LETTERS = (" ", *"abcdefghijklmnopqrstuvwxyz")
START = 16  # frames of the prompt: within a quarter and a half of both recordings
TEXTS = {"a": "one fine day", "b": "and so on"}
SIZES = {
    "tts/valle": {"channels": 48, "n_heads": 2, "n_layers": 2, "width": 96},
    "tts/valle_v1": {"channels": 48, "n_heads": 2, "n_layers": 2, "dropout": 0.0},
}


@pytest.fixture
def corpus(prepared):
    """Two sounds that change ten times a second, each with a text; and a codec whose codebooks know them."""
    random = np.random.default_rng(3)
    clips = {}
    for id, steps in (("a", 7), ("b", 5)):
        notes = [
            np.sin(np.arange(RATE // 10) * random.uniform(0.02, 0.9)) * random.uniform(0.1, 0.9) for _ in range(steps)
        ]
        clips[id] = np.concatenate(notes).astype(np.float32)
    folder = prepared({"train": clips, "dev": clips}, rate=RATE, text=TEXTS)
    torch.manual_seed(0)
    codec = amphion.build(
        "codec/encodec", filters=4, dim=8, codebooks=3, codebook_size=16, lstm_layers=0, quantizer_dropout=0
    ).train()
    with torch.no_grad():
        codec(torch.from_numpy(np.concatenate([*clips.values()]))[None, None])  # k-means of these latents
    for module in codec.modules():
        if hasattr(module, "after_update"):
            module.after_update()
    weights.save(codec, folder / "codec")
    return folder


def make(root, model, stage, steps, *, init=None, **engine):
    return recipes.check({
        "name": "two", "seed": 1,
        "model": {
            "name": model, **SIZES[model], "frontend": {"name": "characters", "symbols": LETTERS, "blank": None},
            "codec": str(root / "codec"), "n_codebooks": 3, "codebook_size": 16,
        },
        "data": {"root": str(root), "budget": 3.0, "dev_items": 1},
        "trainer": f"valle_{stage}",
        "optim": {"lr": 4e-3, "weight_decay": 0.0, "clip": 1.0, "schedule": {"name": "cosine", "warmup": 10}},
        "engine": {
            "steps": steps, "device": "cpu", "log_every": 1, "validate_every": steps, "init_from": init, **engine,
        },
    })  # fmt: skip


@pytest.mark.parametrize("model", ["tts/valle", "tts/valle_v1"])
def test_two_learned_sentences_are_spoken_back_code_by_code(corpus, tmp_path, model):
    first = train(make(corpus, model, "ar", 90, log_every=90), tmp_path / "ar")
    second = train(make(corpus, model, "nar", 320, init=str(first), log_every=320), tmp_path / "nar")
    scores = RunFolder(tmp_path / "ar").curve()[-1]
    assert scores["dev/accuracy"] == 1 and scores["dev/cross_entropy"] < 0.2
    net = amphion.load(second)
    stored = build_trainer(make(corpus, model, "ar", 1)).features()["codes"].build()
    frontend = net.config.frontend.build()
    for id, text in TEXTS.items():
        wave = torch.from_numpy(amphion.Audio.load(corpus / f"{id}.wav").samples.copy())
        codes = stored.extract(wave[None])[0].long()
        assert all(len(set(book.tolist())) > 4 for book in codes)  # there is something to learn
        ids = torch.tensor(frontend.ids(frontend.tokens(text)))
        made = net.generate_codes(
            ids, ids.new_zeros(0), codes[:, :START], torch.Generator(), CodeControls(temperature=0, continuation=True)
        )
        assert torch.equal(made, codes[:, START:]), id


def test_both_stages_resume_bit_for_bit(corpus, tmp_path):
    first = train(make(corpus, "tts/valle", "ar", 1), tmp_path / "start")

    for stage in ("ar", "nar"):

        def run(name, steps, stage=stage, **options):
            recipe = make(corpus, "tts/valle", stage, steps, init=str(first), save_every=1, micro_batches=2)
            train(recipe, tmp_path / f"{stage}-{name}", **options)
            state = checkpoint.read(tmp_path / f"{stage}-{name}" / "checkpoints" / f"step-{steps}")[0]
            return {f"{kind}.{key}": value for kind, part in state.items() for key, value in part.items()}

        # the schedule depends on the number of steps, so the run is stopped and not shortened
        whole = run("whole", 4)
        run("parts", 4)
        folder = tmp_path / f"{stage}-parts" / "checkpoints"
        for path in folder.iterdir():
            if path.name in ("step-3", "step-4"):
                for file in path.iterdir():
                    file.unlink()
                path.rmdir()
        resumed = run("parts", 4, resume=True)
        assert resumed.keys() == whole.keys()
        assert all(value.equal(resumed[name]) for name, value in whole.items())


def test_the_second_stage_keeps_the_first_and_changes_its_own_weights(corpus, tmp_path):
    first = train(make(corpus, "tts/valle", "ar", 2), tmp_path / "ar")
    second = train(make(corpus, "tts/valle", "nar", 2, init=str(first)), tmp_path / "nar")
    before, after = (amphion.load(place).state_dict() for place in (first, second))
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("ar."))
    changed = [name for name in before if name.startswith("nar.") and not torch.equal(before[name], after[name])]
    assert len(changed) > len(before) / 4


def test_a_codec_that_was_trained_again_under_the_same_name_is_refused(corpus, tmp_path):
    """When the model is used, when its training is resumed, and when the second stage begins with it."""
    first = train(make(corpus, "tts/valle", "ar", 1), tmp_path / "ar")
    codec = amphion.load(corpus / "codec")
    assert amphion.load(first).config.codec_fingerprint == codec.fingerprint()
    assert amphion.load(first).sample_rate == RATE
    codec = open_weights(corpus / "codec").network()
    codec.quantizer.layers[0].embed[0, 0] += 1
    shutil.rmtree(corpus / "codec")
    weights.save(codec, corpus / "codec")
    open_codec.cache_clear()
    net = amphion.load(first)
    with pytest.raises(WeightsError, match="other weights") as caught:
        _ = net.sample_rate
    assert f"model.codec={corpus / 'codec'}" in caught.value.hint
    with pytest.raises(WeightsError, match="other weights"):
        train(make(corpus, "tts/valle", "ar", 1), tmp_path / "ar", resume=True)
    with pytest.raises(WeightsError, match="trained with a codec of other weights"):
        train(make(corpus, "tts/valle", "nar", 1, init=str(first)), tmp_path / "nar")
    published = type(net)(net.config.replace(codec_fingerprint=""))
    assert published.sample_rate == RATE  # weights that state no fingerprint work with any codec of these sizes


def test_padding_counts_as_end_only_where_the_recipe_asks(corpus):
    losses = {}
    for counts in (False, True):
        recipe = make(corpus, "tts/valle_v1", "ar", 1)
        trainer = build_trainer(recipe.replace(trainer={"name": "valle_ar", "pad_is_eos": counts}))
        batch = _batch(trainer)
        losses[counts] = float(next(trainer.training_step(batch, 1)).loss.detach())
    found = trainer.scores(batch, 0, None)
    published = torch.nn.functional.cross_entropy(found.scores.mT, found.targets, reduction="sum")  # of all rows
    assert losses[True] == pytest.approx(float(published.detach()) / 91, rel=1e-5)
    assert losses[False] < losses[True] - 0.05  # 15 of 106 rows are padding


def _batch(trainer):
    """A batch of two items of 53 and 38 frames."""
    lengths = torch.tensor([53, 38])
    g = torch.Generator().manual_seed(0)
    from amphion_core.api import Batch

    tensors = {
        "ids": torch.randint(26, (2, 6), generator=g), "id_lengths": torch.tensor([6, 4]),
        "codes": torch.randint(16, (2, 3, 53), generator=g), "codes_lengths": lengths,
    }  # fmt: skip
    return Batch(("a", "b"), tensors, {}, {"codes": 91, "items": 2})


def test_what_cannot_be_trained_is_refused(corpus):
    with pytest.raises(RecipeError, match="cannot train VITS"):
        build_trainer(recipes.check({
            "name": "wrong", "model": {"name": "tts/vits", "frontend": "characters"}, "trainer": "valle_ar",
            "data": {"root": str(corpus)},
        }))  # fmt: skip
    recipe = make(corpus, "tts/valle", "ar", 1)
    few = CodecPart.named("codec/encodec", codebooks=2, codebook_size=16, filters=2, dim=4, kmeans=False)
    fields = {name: getattr(recipe.model.config, name) for name in type(recipe.model.config).model_fields}
    with pytest.raises(WeightsError, match="the codec has 2 codebooks"):
        build_trainer(recipe.replace(model={"name": "tts/valle", **fields, "codec": few}))
    trainer = build_trainer(recipe)
    from amphion_core.api import Example, Utterance

    cropped = Example(Utterance("x", "x.wav", 2.0, text="a"), np.zeros(RATE // 2, np.float32))
    with pytest.raises(DataError, match="item x is cropped"):
        trainer.collator()([cropped])
    assert trainer.unusable(Utterance("x", "x.wav", 1.0)) == "no text"
