"""Cards of several files: on a hub, in a package, on this disk; each verified, and all needed to be ready."""

import hashlib
import json
import shutil
import subprocess

import pytest
import torch
from safetensors.torch import save_file

import amphion_core as amphion
from amphion_core import cards, fetching, weights
from amphion_core.api import Card, CardFile
from amphion_core.cli.main import main
from amphion_core.errors import WeightsError
from amphion_core.loading import open_weights

NAME = "vocoder/hifigan"


def small():
    torch.manual_seed(0)
    component = amphion.get("models", NAME)
    return component(component.example_config())


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A model hub in a folder, with its cache; the real one cannot be reached from it."""
    import huggingface_hub
    from huggingface_hub import constants

    class Hub:
        files = tmp_path / "hub"
        cache = tmp_path / "cache"
        downloaded: list[str] = []

        def add(self, address, path):
            target = self.files / address
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)

    made = Hub()
    made.downloaded = []

    def download(repo, file, *, revision):
        address = f"{repo}@{revision}/{file}"
        if not (made.files / address).is_file():
            raise FileNotFoundError(f"404: {address}")
        (made.cache / address).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made.files / address, made.cache / address)
        made.downloaded.append(file)
        return str(made.cache / address)

    def cached(repo, file, *, revision):
        path = made.cache / f"{repo}@{revision}/{file}"
        return str(path) if path.is_file() else None

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    return made


@pytest.fixture
def listed(monkeypatch):
    """Adds a card to those that are installed."""
    known = list(cards.cards())

    def add(card):
        known.append(card)
        monkeypatch.setattr(cards, "cards", lambda pattern="": (c for c in known if c.name.startswith(pattern)))
        return card

    return add


def test_a_card_of_our_own_format_on_a_hub_brings_its_config(hub, listed, tmp_path):
    net = small()
    folder = weights.save(net, tmp_path / "w")
    for path in folder.iterdir():
        hub.add(f"me/voices@1a2b/small/{path.name}", path)
    digest = sha256(folder / "model.safetensors")
    source = "hf:me/voices@1a2b/small/model.safetensors"
    card = listed(Card(name=f"{NAME}@hub", title="t", source=source, sha256=digest))
    assert card.status == "download"
    with pytest.raises(WeightsError, match="not here"):
        amphion.load(f"{NAME}@hub", download=False)
    mel = net.example_inputs()["mel"]
    expected = net.for_inference().vocode(mel)
    torch.testing.assert_close(amphion.load(f"{NAME}@hub").vocode(mel), expected, atol=1e-6, rtol=0)
    assert sorted(hub.downloaded) == ["small/config.yaml", "small/model.safetensors"]
    assert card.status == "ready"
    amphion.load(f"{NAME}@hub", download=False)
    assert len(hub.downloaded) == 2


def test_a_card_with_one_file_missing_is_not_ready(hub, listed, tmp_path):
    folder = weights.save(small(), tmp_path / "w")
    hub.add("me/voices@1a2b/model.safetensors", folder / "model.safetensors")
    card = listed(Card(name=f"{NAME}@hub", title="t", source="hf:me/voices@1a2b/model.safetensors"))
    with pytest.raises(WeightsError, match="cannot be downloaded: 404") as caught:
        amphion.load(card.name)
    assert "download config.yaml of me/voices (revision 1a2b)" in caught.value.hint
    assert card.status == "download"


def test_a_publishers_checkpoint_on_a_hub_comes_with_its_config(golden, hub, listed, tmp_path):
    case = golden("hifigan_small_rb1")
    torch.save({"generator": case["state_dict"]}, tmp_path / "g.pt")
    (tmp_path / "config.json").write_text(json.dumps(case["config"]))
    hub.add("them/hifigan@main/lj/g.pt", tmp_path / "g.pt")
    hub.add("them/hifigan@main/lj/config.json", tmp_path / "config.json")
    files = {"config": CardFile("config.json", sha256(tmp_path / "config.json"))}
    source = "hf:them/hifigan@main/lj/g.pt"
    card = listed(Card(name=f"{NAME}@lj", title="t", source=source, layout="jik876", files=files))
    assert card.sources["config"].source == "hf:them/hifigan@main/lj/config.json"
    made = amphion.load(card.name).vocode(case["inputs"]["mel"])
    torch.testing.assert_close(made, case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)
    (hub.cache / "them/hifigan@main/lj/config.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"config\.json is not the file of vocoder/hifigan@lj"):
        amphion.load(card.name)


def test_further_files_reach_the_layout_by_their_keys(monkeypatch, listed, tmp_path):
    component = amphion.get("models", NAME)
    net, seen = small(), {}

    def read(state, *, layout, config=None):
        seen.update(config)
        return net.config, dict(net.state_dict())

    monkeypatch.setattr(component, "import_state_dict", read)
    save_file({"x": torch.zeros(1)}, tmp_path / "theirs.safetensors")
    (tmp_path / "model.yaml").write_text("rate: 22050\nname: theirs\n")
    (tmp_path / "vocab.json").write_text('["a", "b"]')
    save_file({"mean": torch.ones(2)}, tmp_path / "statistics.safetensors")
    files = {name.partition(".")[0]: CardFile(name) for name in ("vocab.json", "statistics.safetensors")}
    listed(
        Card(
            name=f"{NAME}@many", title="t", source=str(tmp_path / "theirs.safetensors"), layout="jik876",
            files=files | {"config": CardFile("model.yaml")}, config={"name": "ours"},
        )
    )  # fmt: skip
    open_weights(f"{NAME}@many").network()
    assert seen.pop("statistics")["mean"].equal(torch.ones(2))
    assert seen == {"rate": 22050, "name": "ours", "vocab": ["a", "b"]}
    words = ["--config", str(tmp_path / "model.yaml"), "--file", f"vocab={tmp_path / 'vocab.json'}"]
    seen.clear()
    source, out = str(tmp_path / "theirs.safetensors"), str(tmp_path / "out")
    assert main(["convert", NAME, source, "--layout", "jik876", "-o", out, *words]) == 0
    assert seen == {"rate": 22050, "name": "theirs", "vocab": ["a", "b"]}


def test_the_status_is_that_of_all_files_together(tmp_path):
    for name in ("a.pt", "b.json"):
        (tmp_path / name).write_text("{}")
    source = str(tmp_path / "a.pt")

    def status(*files):
        further = {str(number): CardFile(file) for number, file in enumerate(files)}
        return Card(name="vocoder/x@a", title="t", source=source, layout="jik876", files=further).status

    assert status("b.json") == "ready"
    assert status("b.json", "c.json") == f"missing {tmp_path}/c.json"
    assert status("package:nowhere_to_be_found/x.json", "c.json") == "needs nowhere_to_be_found"
    with pytest.raises(ValueError, match="files cannot hold 'weights'"):
        Card(name="vocoder/x@a", title="t", source=source, files={"weights": CardFile("b")})


def test_a_file_that_is_gone_from_an_installed_package_is_named(listed, tmp_path, monkeypatch):
    weights.save(small(), tmp_path / "some_voice" / "voice")
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "package:some_voice/voice/model.safetensors"
    listed(Card(name=f"{NAME}@packaged", title="t", source=source, pip="some-voice"))
    amphion.load(f"{NAME}@packaged")
    (tmp_path / "some_voice" / "voice" / "config.yaml").unlink()
    with pytest.raises(WeightsError, match=r"voice/config\.yaml is missing in the installed package") as raised:
        amphion.load(f"{NAME}@packaged")
    assert "--force-reinstall 'some-voice'" in raised.value.hint


def test_a_folder_with_a_checksum_is_verified(listed, tmp_path):
    folder = weights.save(small(), tmp_path / "w")
    by_hand = "sha256sum config.yaml model.safetensors | sha256sum"
    printed = subprocess.run(by_hand, shell=True, cwd=folder, capture_output=True, text=True, check=True).stdout
    digest = fetching.digest(folder)
    assert printed.split()[0] == digest
    listed(Card(name=f"{NAME}@folder", title="t", source=str(folder), sha256=digest))
    amphion.load(f"{NAME}@folder")
    (folder / "card.md").write_text("not loaded, so not part of the digest")
    amphion.load(f"{NAME}@folder")
    for name in ("config.yaml", "model.safetensors"):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(before + b"\n")
        with pytest.raises(WeightsError, match="is not the file of vocoder/hifigan@folder"):
            amphion.load(f"{NAME}@folder")
        (folder / name).write_bytes(before)


def test_weights_of_another_model_are_refused(listed, tmp_path):
    folder = weights.save(small(), tmp_path / "w")
    listed(Card(name="vocoder/griffin_lim@wrong", title="t", source=str(folder)))
    with pytest.raises(WeightsError, match="griffin_lim@wrong holds weights of vocoder/hifigan"):
        amphion.load("vocoder/griffin_lim@wrong")
