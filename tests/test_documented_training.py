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
INSTEAD = {  # of words that a small run cannot take
    "engine.steps=20000": "engine.steps=2",
    "trainer.discriminators=[discriminator/mpd, discriminator/ms_sb_cqtd]": f"trainer.discriminators=[{JUDGE}]",
}


def commands():
    """The words of every command in a ``bash`` block of the pages, in order."""
    for page in PAGES:
        for block in re.findall(r"^```bash\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S):
            for line in block.splitlines():
                if line.startswith("amphion "):
                    yield shlex.split(line, comments=True)[1:]


def write_clips(folder, rate, count=6):
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(count):
        samples = (random.uniform(-0.3, 0.3, rate // 2) * 32767).astype("<i2")
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
            small = SMALL_VITS if given[1].startswith("vits") else SMALL
            given = [given[0], given[1], *([] if is_run else small), *given[2:]]
            trained.append(given)
        code = main(given)
        shown = capsys.readouterr()
        assert code == 0, f"amphion {shlex.join(words)}\n{shown.err}"
        if words[0] == "train":
            assert "weights: runs/" in shown.out
    assert len(trained) >= 9


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
