"""Every command of the pages about training runs, in the order of the pages, on small networks and a few clips."""

import json
import re
import shlex
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import recipe
from amphion_core.cli.main import main

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("train.md", "resume-and-fine-tune.md")
JUDGE = "{name: discriminator/mpd, channels: 2}"
SMALL = [  # what is added to each command that trains, before its own words
    "model.channels=16", f"trainer.discriminators=[{JUDGE}]", "trainer.metrics=[]", "engine.monitor=mel",
    "engine.steps=1", "engine.micro_batches=1", "engine.device=cpu", "data.crop=2048", "data.budget=0.1",
    "data.dev_items=1",
]  # fmt: skip
SMALL_VITS = [
    *(word for word in SMALL if not word.startswith(("data.crop", "data.budget"))), "data.budget=2",
    *(f"model.{name}_channels=16" for name in ("hidden", "latent", "filter")), "model.n_layers=1",
]  # fmt: skip
SMALL_FASTSPEECH2 = [  # the sizes stay those of the weights that it begins with; the clips have no pitch
    "engine.steps=1", "engine.device=cpu", "data.budget=2", "data.dev_items=1", "trainer.metrics=[]",
    "model.pitch_mean=150", "model.pitch_std=30",
]  # fmt: skip
INSTEAD = {  # of words that a small run cannot take
    "engine.steps=20000": "engine.steps=2",
    "trainer.discriminators=[discriminator/mpd, discriminator/ms_sb_cqtd]": f"trainer.discriminators=[{JUDGE}]",
}


VOICE = [  # what is added to the training of FastSpeech 2
    *(f"model.{name}=16" for name in ("hidden_channels", "filter_channels", "predictor_channels")),
    "model.encoder_layers=1", "model.decoder_layers=1", "engine.steps=1", "engine.device=cpu", "data.budget=3",
    "data.dev_items=1", "trainer.metrics=[mcd]",
]  # fmt: skip


def commands(pages=PAGES):
    """The words of every command in a ``bash`` block of the pages, in order."""
    for page in pages:
        for block in re.findall(r"^```bash\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S):
            for line in block.splitlines():
                if line.startswith("amphion "):
                    yield shlex.split(line, comments=True)[1:]


def write_clips(folder, rate, count=6, voiced=False):
    """Half a second of noise for each clip, or of a tone with overtones, which has an F0."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        noise = random.uniform(-0.3, 0.3, rate // 2)
        tone = (np.arange(rate // 2) * (150 + 5 * number) / rate % 1 - 0.5) * 0.6  # a sawtooth
        samples = ((tone + noise / 50 if voiced else noise) * 32767).astype("<i2")
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
        (folder / f"{number}.txt").write_text("go on")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """The folders and files that the pages assume: recordings, prepared corpora, published checkpoints of HiFi-GAN."""
    root = tmp_path_factory.mktemp("workspace")
    write_clips(root / "my_recordings", 22050)
    for name, rate in (("ljspeech", 22050), ("libritts", 24000), ("other", 22050)):
        write_clips(root / f"corpora/{name}", rate)
        split = ["dev=0.3", "test=0"]
        assert main(["prepare", "folder", str(root / f"corpora/{name}"), str(root / f"prepared/{name}"), *split]) == 0
    net = amphion.build("vocoder/hifigan", channels=16)
    torch.save(
        {"generator": {name.partition(".")[2]: value for name, value in net.state_dict().items()}}, root / "g.pt"
    )
    judge = amphion.build("discriminator/mpd", channels=2)
    torch.save({"mpd": judge.state_dict()}, root / "d.pt")
    (root / "g.pt").rename(root / "g_02500000")
    (root / "d.pt").rename(root / "do_02500000")
    mel = {"num_mels": 80, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": 22050, "fmin": 0,
           "fmax": 8000}  # fmt: skip
    stages = {
        "resblock": "1", "upsample_rates": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4],
        "upsample_initial_channel": 16, "resblock_kernel_sizes": [3, 7, 11],
        "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    }  # fmt: skip
    (root / "config.json").write_text(json.dumps(mel | stages))
    return root


def test_every_command_of_the_pages_about_training_runs(workspace, monkeypatch, capsys):
    monkeypatch.chdir(workspace)
    trained = []
    for words in commands():
        given = [INSTEAD.get(word, word) for word in words]
        if words[0] == "prepare":
            given += ["dev=0.3", "test=0"]
        if words[0] == "train":
            is_run = (workspace / given[1] / "config.yaml").is_file()
            small = {"vits": SMALL_VITS, "fastspeech2": SMALL_FASTSPEECH2}.get(given[1].partition("_")[0], SMALL)
            given = [given[0], given[1], *([] if is_run else small), *given[2:]]
            trained.append(given)
        code = main(given)
        shown = capsys.readouterr()
        assert code == 0, f"amphion {shlex.join(words)}\n{shown.err}"
        if words[0] == "train":
            assert "weights: runs/" in shown.out
    assert len(trained) >= 9


def test_the_way_from_recordings_to_a_spoken_sentence_runs(tmp_path, monkeypatch, capsys):
    """The commands of the tutorial that need no GPU, recogniser or trained vocoder, and train."""
    for package in ("pyloudnorm", "librosa"):  # amphion-core[tidy]
        pytest.importorskip(package)
    write_clips(tmp_path / "my_recordings/wavs", 22050, 8, voiced=True)
    (tmp_path / "my_recordings/metadata.csv").write_text("".join(f"{name}|Hello.\n" for name in range(8)))
    monkeypatch.chdir(tmp_path)
    ran = []
    for words in commands(["your-own-voice.md"]):
        given = [{"engine.steps=12000": "engine.steps=2"}.get(word, word) for word in words]
        if given[:2] == ["prepare", "ljspeech"]:
            given += ["dev=0.3", "test=0"]
        elif given[:2] == ["train", "fastspeech2_small"]:
            given += VOICE
        elif "runs/fastspeech2_small" not in given or {"--wer", "--vocoder"} & {*given} or given[-1] == "--resume":
            continue
        code, shown = main(given), capsys.readouterr().err
        assert code == 0, f"amphion {shlex.join(words)}\n{shown}"
        assert ("seconds of speech to learn from, and fewer than about 10 minutes" in shown) == (given[0] == "train")
        assert ('pip install "amphion-tts[voice]"' in shown) == (given[0] == "train")
        ran.append(given[0])
    assert ran == ["prepare", "train", "tts", "train"]
    assert list((tmp_path / "runs/fastspeech2_small/samples").rglob("spoken_*")) and (tmp_path / "mine.wav").is_file()


def test_the_settings_that_the_page_says_must_stay_are_those_that_are_refused():
    from amphion_core.training.resume import _FIXED

    page = (DOCS / "resume-and-fine-tune.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("|")]
    stay = " ".join(fields for fields, rule in rows if rule.strip() == "must stay")
    data = {"train", "crop", "budget", "jitter", "shortest", "longest", "resample"}
    other = {"seed", "optim.name", "optim.freeze", "engine.micro_batches", "engine.ema", "engine.init_from"}
    for field in recipe.DataConfig.model_fields:
        assert bool(_FIXED.match(f"data.{field}")) == (field in data)
        assert (f"`{field}`" in stay) == (field in data), field
    for field in ("engine." + name for name in recipe.EngineConfig.model_fields):
        assert bool(_FIXED.match(field)) == (field in other) == (f"`{field}`" in stay), field
    for field in ("optim." + name for name in recipe.OptimConfig.model_fields):
        assert bool(_FIXED.match(field)) == (field in other) == (f"`{field}`" in stay), field
