"""Weights: what loads, what is refused and why, and that no code in a pickle runs."""

import hashlib
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

import amphion_core as amphion
from amphion_core import fetching, weights
from amphion_core.api import Card
from amphion_core.checkpoints.weight_names import to_folded, to_parametrized
from amphion_core.cli.main import main
from amphion_core.errors import RecipeError, WeightsError
from amphion_core.files import atomic_write
from amphion_core.stored_weights import from_folder
from amphion_core.training import checkpoint


@pytest.fixture
def net():
    component = amphion.get("models", "vocoder/hifigan")
    return component(component.example_config())


def test_a_folder_comes_back_bit_for_bit(net, tmp_path):
    folder = weights.save(net, tmp_path / "w", card="# mine\n")
    assert sorted(path.name for path in folder.iterdir()) == ["card.md", "config.yaml", "model.safetensors"]
    found = from_folder(folder)
    assert found.name == "vocoder/hifigan"
    assert all(torch.equal(found.state[key], value) for key, value in net.state_dict().items())
    assert amphion.load(folder).config == net.config
    with pytest.raises(WeightsError, match="exists already"):
        weights.save(net, folder)


def test_what_cannot_be_written_leaves_nothing(net, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(WeightsError, match="cannot be written"):
        weights.save(net, tmp_path / "file" / "w")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class Bomb:
    def __reduce__(self):
        return (os.mkdir, (os.environ["BOMB"],))


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    for name, write in (
        ("a.pt", lambda path: torch.save({"x": Bomb()}, path)),
        ("b.bin", lambda path: path.write_bytes(pickle.dumps(Bomb()))),
    ):
        write(tmp_path / name)
        with pytest.raises(WeightsError, match=r"contains code|damaged"):
            weights.read_checkpoint(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_damaged_and_missing_files_are_reported(net, tmp_path):
    save_file(net.state_dict(), tmp_path / "a.safetensors")
    torch.save(net.state_dict(), tmp_path / "a.pt")
    for name in ("a.safetensors", "a.pt"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(WeightsError, match="damaged") as caught:
            weights.read_checkpoint(tmp_path / name)
        assert name in caught.value.message
    for name, message in (("none.pt", "no checkpoint"), ("a.txt", "not a checkpoint file")):
        (tmp_path / "a.txt").write_text("x")
        with pytest.raises(WeightsError, match=message):
            weights.read_checkpoint(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="holds a list"):
        weights.read_checkpoint(tmp_path / "list.pt")


def test_every_key_that_does_not_fit_is_named(net):
    state = dict(net.state_dict())
    first = next(iter(state))
    for change, message in (
        (lambda s: s.pop(first), f"missing: {first}"),
        (lambda s: s.update(extra=torch.zeros(1)), "unexpected: extra"),
        (lambda s: s.update({first: torch.zeros(7)}), f"of another shape: {first} \\(7, the network has"),
    ):
        changed = dict(state)
        change(changed)
        with pytest.raises(WeightsError, match=message):
            weights.load_state(net, changed, what="HiFi-GAN")


def test_weight_norms_of_three_spellings_are_one_weight():
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv1d(3, 4, 5))
    new = layer.state_dict()
    old = {"weight_g": new["parametrizations.weight.original0"], "weight_v": new["parametrizations.weight.original1"]}
    named = {f"up.{name}": value for name, value in old.items()}
    folded = to_folded(named)["up.weight"]
    torch.testing.assert_close(folded, layer.weight.detach())
    again = to_parametrized({"up.weight": folded}, [f"up.{name}" for name in new])
    torch.testing.assert_close(to_folded(again)["up.weight"], folded)


def test_a_card_is_verified_before_it_is_loaded(net, tmp_path):
    save_file(net.state_dict(), tmp_path / "a.safetensors")
    right = hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    card = Card(name="vocoder/x@a", title="t", source=str(tmp_path / "a.safetensors"), sha256=right)
    (tmp_path / "config.yaml").write_text("")
    assert fetching.fetch(card)["weights"] == tmp_path / "a.safetensors"
    with pytest.raises(WeightsError, match=r"sha256 .* expected 0000"):
        fetching.fetch(Card(name="vocoder/x@a", title="t", source=str(tmp_path / "a.safetensors"), sha256="0" * 64))


def test_without_network_the_error_says_what_to_fetch(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    card = Card(name="vocoder/x@a", title="t", source="hf:owner/repo@main/model.safetensors", layout="jik876")
    assert card.status == "download"
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE") as caught:
        fetching.fetch(card)
    assert "model.safetensors of owner/repo (revision main)" in caught.value.hint


def test_a_folder_of_something_else_is_reported(tmp_path):
    (tmp_path / "config.yaml").write_text("name: [")
    with pytest.raises(RecipeError, match=r"config.yaml line"):
        amphion.load(tmp_path)
    (tmp_path / "config.yaml").write_text("steps: 3")
    with pytest.raises(WeightsError, match="does not state name and config"):
        amphion.load(tmp_path)


def test_convert_writes_a_folder_that_loads(golden, tmp_path, capsys):
    import json

    case = golden("hifigan_small_rb1")
    torch.save({"generator": case["state_dict"]}, tmp_path / "g_1.pt")
    (tmp_path / "config.json").write_text(json.dumps(case["config"]))
    words = ["convert", "vocoder/hifigan", str(tmp_path / "g_1.pt"), "-o", str(tmp_path / "out")]
    assert main([*words, "--layout", "jik876"]) == 0
    assert "wrote" in capsys.readouterr().out.splitlines()[-1]
    made = amphion.load(tmp_path / "out").vocode(case["inputs"]["mel"])
    torch.testing.assert_close(made, case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)
    assert main([*words, "--layout", "nvidia"]) == 2
    assert "it reads: jik876, amphion, transformers" in capsys.readouterr().err


@pytest.fixture(params=[0o022, 0o027])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_written_files_have_the_access_rights_that_the_umask_gives(net, tmp_path, umask):
    folder = weights.save(net, tmp_path / "w")
    made = checkpoint.write(tmp_path / "checkpoints", 1, {"networks": net.state_dict()}, {"step": 1})
    with atomic_write(tmp_path / "one.safetensors") as temporary:
        save_file(net.state_dict(), temporary)
    for path in (folder, made, *folder.iterdir(), *made.iterdir(), tmp_path / "one.safetensors"):
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        assert oct(path.stat().st_mode & 0o777) == oct(wanted), path.name


def test_layout_and_config_are_checked_before_a_layout_is_read(monkeypatch):
    component = amphion.get("models", "vocoder/hifigan")
    monkeypatch.setattr(component, "import_state_dict", lambda *args, **kwargs: pytest.fail("the layout was read"))
    with pytest.raises(WeightsError, match="vocoder/hifigan does not read the layout 'nobodys'") as caught:
        amphion.import_model("vocoder/hifigan", {}, layout="nobodys", config={})
    assert "it reads: jik876, amphion, transformers" in caught.value.hint
    with pytest.raises(WeightsError, match=r"'jik876' of vocoder/hifigan needs the publisher's config") as caught:
        amphion.import_model("vocoder/hifigan", {}, layout="jik876")
    assert "amphion convert --config" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"), (b"<html>404</html>", "a web page")],
)
def test_what_a_download_gave_in_place_of_a_checkpoint_is_named(tmp_path, content, what):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=what):
        weights.read_checkpoint(path)
