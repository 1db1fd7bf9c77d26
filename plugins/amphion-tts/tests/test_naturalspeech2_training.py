"""Training of NaturalSpeech 2: prompts, the codebook loss, sources of durations, and two sentences that are learned."""

import csv

import pytest
import soundfile
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes, yaml
from amphion_core.api import CodecPart, Codes, Prompt, open_codec
from amphion_core.component import Utterance
from amphion_core.data.manifest import Record
from amphion_core.errors import RecipeError, WeightsError
from amphion_core.training.run import build_trainer, train
from amphion_core.training.run_folder import RunFolder
from amphion_core.weights import save
from amphion_tts.models.fastspeech2 import FastSpeech2
from amphion_tts.trainers.code_loss import code_loss, codebooks_of
from amphion_tts.trainers.prompt_split import Span, frame_span, token_span

LETTERS = ("_", *" .,!?'-", *"abcdefghijklmnopqrstuvwxyz")
MEL = {"preset": "hifigan_22k_80", "n_mels": 20, "hop_length": 256}
CODEC = {
    "name": "codec/encodec", "sample_rate": 22050, "filters": 2, "dim": 8, "strides": [8, 8, 4], "kernel": 3,
    "codebooks": 2, "codebook_size": 16, "lstm_layers": 0, "quantizer_dropout": 0.0, "dead_below": 0.0,
}  # fmt: skip
MODEL = {
    "name": "tts/naturalspeech2", "frontend": {"name": "characters", "symbols": LETTERS, "begin": " ", "end": " "},
    "n_codebooks": 2, "latent_channels": 8, "hidden_channels": 16,
    "prompt_layers": 1, "prompt_filter": 32, "prompt_kernel": 3, "prompt_heads": 2, "prompt_dropout": 0.0,
    "query_tokens": 4, "query_heads": 2, "encoder_layers": 1, "encoder_filter": 32, "encoder_kernel": 3,
    "encoder_heads": 2, "encoder_dropout": 0.0, "duration_layers": 2, "pitch_layers": 2, "predictor_heads": 2,
    "predictor_dropout": 0.0, "n_bins": 32, "denoiser_layers": 3, "denoiser_heads": 2, "denoiser_dropout": 0.0,
}  # fmt: skip

PLAIN = {"name": "characters", "symbols": LETTERS, "begin": None, "end": None, "blank": None}
GAIN = 1.3
SCALE = 0.853  # the root of the mean square of the latents
BOUNDS = {"codes": 0.78, "pitch": 0.34, "duration": 0.66}


def test_spans_of_tokens_leave_one_outside_and_reach_both_ends():
    lengths = torch.tensor([2, 10, 10, 10, 10])
    share = torch.tensor([0.5, 0.01, 0.3, 0.3, 0.999])
    span = token_span(lengths, share, torch.tensor([0.0, 0.5, 0.0, 1.0, 1.0]))
    assert span.count.tolist() == [1, 1, 3, 3, 9]
    assert span.start.tolist() == [0, 5, 0, 7, 1]


def test_prompt_and_target_are_the_span_and_the_rest():
    durations = torch.tensor([[2, 0, 3, 1, 2], [1, 4, 0, 0, 0]])
    lengths, frames = torch.tensor([5, 2]), torch.tensor([8, 5])
    tokens = Span(torch.tensor([1, 0]), torch.tensor([2, 1]))
    span = frame_span(tokens, durations)
    assert (span.start.tolist(), span.count.tolist()) == ([2, 0], [3, 1])
    x = torch.arange(8).expand(2, 3, 8)
    rest, sizes = span.cut_out(x, frames)
    assert sizes.tolist() == [5, 4] and rest.shape == (2, 3, 5)
    assert rest[:, 1].tolist() == [[0, 1, 5, 6, 7], [1, 2, 3, 4, 4]]
    assert span.inside(x)[:, 2].tolist() == [[2, 3, 4], [0, 0, 0]]
    left, _ = tokens.cut_out(durations, lengths)
    assert left.tolist() == [[2, 1, 2], [4, 4, 4]]
    empty = frame_span(Span(torch.tensor([1, 1]), torch.tensor([1, 1])), torch.tensor([[2, 0, 3], [5, 0, 0]]))
    assert (empty.start.tolist(), empty.count.tolist()) == ([2, 4], [1, 1])  # a token without frames gets one


def test_the_codebook_loss_is_the_cross_entropy_of_distances_to_the_entries():
    codec = open_codec(CodecPart.named(**CODEC | {"kmeans": False}))
    books = codebooks_of(codec, 2)
    assert books.shape == (2, 16, 8)
    draws = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 16, (2, 2, 5), generator=draws)
    latents = codec.latents(Codes(codes.transpose(0, 1)))
    picked = sum(book[codes[:, k]] for k, book in enumerate(books))
    torch.testing.assert_close(picked.mT, latents)  # the codebooks are those of the codec
    made = latents + 0.3 * torch.randn(latents.shape, generator=draws)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    wanted = torch.zeros(2)
    for b in range(2):
        for n in range(5 if b == 0 else 3):
            rest = made[b, :, n]
            for k, book in enumerate(books):
                distances = (rest - book).square().sum(1)
                wanted[b] += -torch.log_softmax(-distances, 0)[codes[b, k, n]]
                rest = rest - book[codes[b, k, n]]
    torch.testing.assert_close(code_loss(made, codes, books, mask), wanted, rtol=1e-4, atol=1e-4)


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
        utterance = Utterance(row["id"], f"{row['id']}.wav", len(wave) / rate, text=row["text"], speaker="kathleen")
        lines.append(Record(utterance, rate, f"digest-{row['id']}").line() + "\n")
    for split in ("train", "dev"):
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "dataset.yaml").write_text(yaml.dump({"root": str(folder)}), encoding="utf-8")
    return folder, [(row["id"], row["text"]) for row in rows]


@pytest.fixture(scope="module")
def codec(clips, tmp_path_factory):
    """A codec whose entries are clusters of the first clip's vectors; its network is not trained."""
    folder, lines = clips
    wave = torch.from_numpy(soundfile.read(folder / f"{lines[0][0]}.wav", dtype="float32")[0])
    torch.manual_seed(0)
    made = amphion.build(**CODEC).train()
    for name, values in made.encoder.named_parameters():
        if name.endswith("original0"):
            values.data.mul_(GAIN)  # so that the vectors have a deviation of about 1
    made(wave[None, None, : len(wave) // 256 * 256])
    return str(save(made.eval(), tmp_path_factory.mktemp("codec") / "weights"))


def make(root, codec, steps, *, model=None, **trainer):
    return recipes.check({
        "name": "two", "audio": MEL, "seed": 1, "model": MODEL | {"codec": codec} | (model or {}),
        "data": {"root": str(root), "budget": 20},
        "trainer": {"name": "naturalspeech2", "binarization_start": 40, "first_time": 0.02, **trainer},
        "optim": {"lr": 5e-3, "betas": [0.9, 0.98], "clip": 0.5},
        "engine": {"steps": steps, "device": "cpu", "log_every": 1, "validate_every": steps},
    })  # fmt: skip


def run(recipe, folder):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    weights = train(recipe, folder)
    torch.set_num_threads(threads)
    return weights, RunFolder(folder).curve()


@pytest.fixture(scope="module")
def learned(clips, codec, tmp_path_factory):
    """A run of 60 steps with learned durations: its weights and its curve."""
    return run(make(clips[0], codec, 60), tmp_path_factory.mktemp("learned") / "run")


def test_the_trained_model_refuses_a_codec_of_other_weights(learned):
    net = amphion.load(learned[0])
    assert net.config.codec_fingerprint == net.codec.fingerprint()
    other = type(net)(net.config.replace(codec_fingerprint="00000000"))
    with pytest.raises(WeightsError, match=r"other weights .* than the codec that this model was trained with"):
        _ = other.codec


def test_two_sentences_are_learned_with_their_alignment(learned):
    """The means of the first and the last ten steps; the bounds are a fifth above what was measured."""
    weights, curve = learned
    steps, scores = [line for line in curve if "model/latents" in line], curve[-1]
    first, last = (
        {name: sum(line[f"model/{name}"] for line in part) / 10 for name in BOUNDS}
        for part in (steps[:10], steps[-10:])
    )
    assert all(last[name] < bound * first[name] for name, bound in BOUNDS.items()), (first, last)
    assert "aligner/binarization" not in steps[39] and "aligner/binarization" in steps[40]
    assert steps[-1]["aligner/forward_sum"] < 0.7 * steps[0]["aligner/forward_sum"]
    assert {"dev/latents", "dev/codes", "dev/pitch", "dev/duration", "dev/longest_token"} < scores.keys()
    assert amphion.load(weights).config.latent_scale == pytest.approx(SCALE, rel=0.05)


def test_a_learned_voice_speaks(learned, clips):
    net = amphion.load(learned[0])
    folder, lines = clips
    wave = torch.from_numpy(soundfile.read(folder / f"{lines[0][0]}.wav", dtype="float32")[0])[None]
    frontend = net.config.frontend.build()
    row = frontend.ids(frontend.tokens(lines[0][1]))
    prompt = Prompt(wave, torch.tensor([wave.shape[1]]))
    made = net.synthesize(
        torch.tensor([row]), torch.tensor([len(row)]), prompt=prompt, seed=0, controls=net.controls({"steps": 10})
    )
    assert torch.isfinite(made.wave).all() and int(made.lengths[0]) == made.wave.shape[1]
    assert 0.5 < made.wave.shape[1] / wave.shape[1] < 2  # as long as the recording


def test_a_resumed_run_continues_bit_for_bit(clips, codec, tmp_path):
    whole, _ = run(make(clips[0], codec, 2), tmp_path / "whole")
    run(make(clips[0], codec, 1), tmp_path / "parts")
    parts = train(make(clips[0], codec, 2), tmp_path / "parts", resume=True)
    one, other = amphion.load(whole).state_dict(), amphion.load(parts).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_first_steps_can_train_the_aligner_alone(clips, codec, tmp_path):
    _, curve = run(make(clips[0], codec, 2, aligner_steps=1), tmp_path / "run")
    assert "aligner/forward_sum" in curve[0] and "model/latents" not in curve[0] and "model/latents" in curve[1]


def teacher(folder, **changes):
    """A FastSpeech 2 with an untrained aligner for the same frontend and frames."""
    mel = recipes.check({"name": "mel", "audio": MEL, "model": MODEL, "trainer": "naturalspeech2"}).audio
    config = FastSpeech2.example_config().replace(frontend=MODEL["frontend"], mel=mel, n_speakers=1, speakers=())
    return str(save(FastSpeech2(config.replace(**changes)), folder))


def test_durations_of_another_model_train_without_an_aligner(clips, codec, tmp_path):
    _, curve = run(make(clips[0], codec, 1, durations={"model": teacher(tmp_path / "teacher")}), tmp_path / "run")
    assert curve[0]["model/duration"] > 0 and "aligner/forward_sum" not in curve[0]
    assert "dev/longest_token" not in curve[-1] and "dev/latents" in curve[-1]


def test_a_model_with_other_frames_is_refused_as_source_of_durations(clips, codec, tmp_path):
    place = teacher(tmp_path / "teacher", mel=FastSpeech2.example_config().mel)
    with pytest.raises(RecipeError, match="has 22050 Hz and a hop of 128, and the model 22050 Hz and 256"):
        build_trainer(make(clips[0], codec, 1, durations={"model": place}))


def test_items_that_cannot_be_cut_are_left_out_with_the_reason(clips, codec):
    trainer = build_trainer(make(clips[0], codec, 1, model={"frontend": PLAIN}))
    reasons = {text: trainer.unusable(Utterance("a", "a.wav", 1.0, text=text)) for text in (" ", "a", "ab", "a" * 100)}
    assert reasons == {
        " ": "no text", "a": "a text of one token, which cannot be cut into prompt and target", "ab": None,
        "a" * 100: "a text too long for the recording (fewer frames than tokens)",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt_share": (0.5, 0.1)}, "prompt_share: 0.5 to 0.1 is not within 0 and 1"),
        ({"durations": {"textgrids": "grids"}, "aligner_steps": 1}, "aligner_steps: durations are given"),
    ],
)
def test_trainers_that_contradict_themselves(fields, message):
    with pytest.raises(RecipeError, match=message):
        make("data", "codec", 1, **fields)


def test_another_model_is_refused(clips):
    fields = {"name": "tts/fastspeech2", "frontend": MODEL["frontend"]}
    recipe = recipes.check({"name": "x", "model": fields, "data": {"root": str(clips[0])}, "trainer": "naturalspeech2"})
    with pytest.raises(RecipeError, match="the trainer naturalspeech2 cannot train FastSpeech2"):
        build_trainer(recipe)
