"""Training of FACodec: it learns four clips, every part takes steps, and a resumed run is the uninterrupted one."""

import json

import pytest
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes
from amphion_core.errors import DataError, RecipeError
from amphion_core.training import checkpoint
from amphion_core.training.run import train
from amphion_core.training.run_folder import RunFolder
from amphion_vocoders.trainers.facodec_labels import MIDDLE, ctc_loss, head_losses

HEADS = ("f0", "phone", "speaker", "content_f0", "prosody_phone", "residual_f0", "residual_phone", "sum_speaker")
SMALL = {
    "name": "codec/facodec", "channels": 4, "dim": 32, "decoder_channels": 64, "content_books": 1, "residual_books": 1,
    "book_size": 32, "layers": 1, "inner_channels": 32, "heads": 2, "redecoder_channels": 32, "predictors": HEADS,
    "frontend": "characters",
}  # fmt: skip


@pytest.fixture(scope="module")
def voices(four_clips, tmp_path_factory):
    """Two of the clips with short texts and two speakers."""
    pytest.importorskip("pyworld", reason='needs pyworld: pip install "amphion-core[f0]"')
    source, _ = four_clips
    folder = tmp_path_factory.mktemp("voices")
    about = (source / "dataset.yaml").read_text(encoding="utf-8")
    (folder / "dataset.yaml").write_text(about, encoding="utf-8")
    lines = (source / "train.jsonl").read_text(encoding="utf-8").splitlines()[:2]
    for number, line in enumerate(lines):
        lines[number] = json.dumps(json.loads(line) | {"text": ["so it is", "no"][number], "speaker": "ab"[number]})
    for split in ("train", "dev"):
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def recipe(folder, steps, *, trainer=(), model=(), **engine):
    return recipes.check({
        "name": "facodec", "seed": 1, "model": SMALL | dict(model), "audio": "facodec_prosody_16k",
        "trainer": {
            "name": "facodec", "segment": 40, "f0": "f0_dio",
            "discriminators": [{"name": "discriminator/mpd", "channels": 2, "periods": [2, 3]}],
        } | dict(trainer),
        "data": {"root": str(folder), "budget": 2.2, "resample": True},
        "optim": {"name": "adam", "lr": 2e-3, "weight_decay": 0},
        "engine": {"steps": steps, "save_every": 1000, "log_every": 1, "micro_batches": 1, "device": "cpu"} | engine,
    })  # fmt: skip


def test_it_learns_two_clips_and_every_part_takes_steps(voices, tmp_path):
    settings = {"adversarial_weight": 0.1, "feature_weight": 0.1, "discriminator_start": 31}
    train(recipe(voices, 32, trainer=settings, save_every=31), tmp_path / "run")
    curve = {key: [row[key] for row in RunFolder(tmp_path / "run").curve() if key in row] for key in (
        "codec/mel", "codec/redecoder", "codec/phone", "codec/speaker", "codec/f0", "codec/adversarial",
    )}  # fmt: skip
    found = {name: sum(rows[-6:]) / sum(rows[:6]) for name, rows in curve.items() if len(rows) > 12}
    for name, bound in {"mel": 0.92, "redecoder": 0.92, "phone": 0.8, "f0": 0.8}.items():
        assert found[f"codec/{name}"] < bound, found
    assert len(curve["codec/adversarial"]) == 2
    folders = [tmp_path / "run" / "checkpoints" / f"step-{step}" for step in (31, 32)]
    before, after = (checkpoint.read(folder)[0]["networks"] for folder in folders)
    still = {name for name, tensor in before.items() if tensor.equal(after[name])}
    assert not {name for name in still if "residual" not in name and "quantizer.2" not in name}
    net = amphion.load(tmp_path / "run")
    assert net.config.speakers == ("a", "b") and net.config.phone_classes == len(net.config.frontend.config.symbols) + 1


def test_the_variant_at_24_khz_learns_with_predictors_after_its_codebooks_got_entries(voices, tmp_path):
    sizes = {
        "name": "codec/facodec_24k", "channels": 4, "decoder_channels": 32, "lstm_layers": 1, "content_books": 1,
        "residual_books": 1, "book_size": 32, "prosody_channels": 16, "prosody_layers": 2, "timbre_channels": 16,
        "dead_below": 0.1, "predictors": HEADS, "frontend": "characters",
    }  # fmt: skip
    settings = recipe(voices, 16, trainer={"codebook_start": 7, "discriminator_start": 16}).model_dump(mode="json")
    train(recipes.check(settings | {"model": sizes, "audio": None}), tmp_path / "run")
    rows = [row for row in RunFolder(tmp_path / "run").curve() if "codec/mel" in row]
    assert all(f"codec/{name}" in row for row in rows for name in (*HEADS, "f0_uv"))
    assert [row["codec/commitment"] > 0 for row in rows] == [False] * 6 + [True] * 10
    for name in ("codec/mel", "codec/phone"):
        values = [row[name] for row in rows]
        assert sum(values[-4:]) < 0.97 * sum(values[:4]), (name, values)
    net = amphion.load(tmp_path / "run")
    assert net.config.speakers == ("a", "b") and net.quantizers[0].layers[0].cluster_size.shape == (32,)


def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(voices, tmp_path):
    def run(name, steps, **options):
        settings = {"trainer": {"codebook_start": 2}, "model": {"dead_below": 0.1}}
        values = recipe(voices, steps, **settings, save_every=1, micro_batches=2, ema={"codec": 0.9})
        train(values, tmp_path / name, **options)
        state = checkpoint.read(tmp_path / name / "checkpoints" / f"step-{steps}")[0]
        return {f"{kind}.{key}": value for kind, part in state.items() for key, value in part.items()}

    whole, half = run("whole", 2), run("parts", 1)
    resumed = run("parts", 2, resume=True)
    assert resumed.keys() == whole.keys() and all(value.equal(resumed[name]) for name, value in whole.items())
    assert any(not value.equal(whole[name]) for name, value in half.items() if name.startswith("networks."))


def test_the_losses_of_predictors_by_hand():
    octaves, unvoiced = torch.tensor([0.0, 3, 0, 9]), torch.tensor([0.0, 0, 1, 9])
    found = {"f0": [octaves[None, :, None], unvoiced[None, :, None]], "speaker": [torch.tensor([[0.0, 0.0]])]}
    labels = {"f0": torch.tensor([MIDDLE, 2 * MIDDLE, 0]), "speaker": torch.tensor(1)}
    losses = head_losses(found, labels)
    assert losses["f0"] == 0.75  # smooth absolute difference of 0 and 2 octaves; the unvoiced frame does not count
    assert losses["f0_uv"] == 0 and losses["speaker"] == pytest.approx(0.6931, abs=1e-4)
    scores = torch.ones(1, 2, 3, requires_grad=True)
    silent = head_losses({"phone": [scores]}, {"ids": torch.zeros(0, dtype=torch.long)})["phone"]
    assert silent.item() == 0 and silent.requires_grad  # a recording without a text
    even = torch.zeros(2, 3)  # the text "0" in two frames: 00, 0-, -0; each path has probability 1 / 9
    assert ctc_loss(even, torch.tensor([0])).item() == pytest.approx(1.0986, abs=1e-4)
    assert ctc_loss(even, torch.tensor([0, 0, 1])).item() == 0  # no path


def test_what_the_predictors_lack_is_refused(voices, tmp_path):
    with pytest.raises(RecipeError, match="predictors of phones need a frontend"):
        train(recipe(voices, 1, model={"frontend": None}), tmp_path / "a")
    nobody = tmp_path / "nobody"
    nobody.mkdir()
    for path in [*voices.glob("*.jsonl"), voices / "dataset.yaml"]:
        text = path.read_text(encoding="utf-8").replace('"speaker": "a"', '"speaker": ""')
        (nobody / path.name).write_text(text.replace('"speaker": "b"', '"speaker": ""'), encoding="utf-8")
    with pytest.raises(DataError, match="the corpus names none"):
        train(recipe(nobody, 1), tmp_path / "b")
    for path in nobody.glob("*.jsonl"):
        text = path.read_text(encoding="utf-8").replace("so it is", "").replace('"no"', '""')
        path.write_text(text.replace('"speaker": ""', '"speaker": "a"'), encoding="utf-8")
    with pytest.raises(DataError, match="the corpus has no text"):
        train(recipe(nobody, 1), tmp_path / "c")
