"""``open_weights``: one function for every kind of place that weights come from."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

import amphion_core as amphion
from amphion_core import cards, weights, yaml
from amphion_core.api import Card
from amphion_core.errors import RecipeError, UnknownComponent, WeightsError
from amphion_core.loading import open_weights
from amphion_core.stored_weights import Weights
from amphion_core.training import checkpoint

NAME = "vocoder/hifigan"


def small(seed=0):
    torch.manual_seed(seed)
    component = amphion.get("models", NAME)
    return component(component.example_config())


def stored(net, network="generator", inside=""):
    return {
        f"{network}.{name.removeprefix(inside)}": value
        for name, value in net.state_dict().items()
        if name.startswith(inside)
    }


def make_run(folder, nets, *, best=None, ema=None, networks=None, model=None):
    """A run folder with a checkpoint for each of ``nets`` by step, as the engine writes it."""
    config = next(iter(nets.values())).config.model_dump(mode="json")
    mel = config.pop("mel")
    folder.mkdir(parents=True)
    recipe = {"name": "r", "audio": mel, "data": {}, "model": {"name": NAME, **config}, "trainer": {"name": "nobodys"}}
    (folder / "config.yaml").write_text(yaml.dump(recipe | ({"model": model} if model else {})))
    for step, net in nets.items():
        tensors = {"networks": {**stored(net), "discriminator.weight": torch.zeros(3)}, "optimizers": {}}
        if ema is not None:
            tensors["ema"] = stored(ema)
        state = {"step": step, "best": {"step": best}}
        if networks is not None:
            state["networks"] = networks
        checkpoint.write(folder / "checkpoints", step, tensors, state)
    return folder


def same(found, net):
    assert found.name == NAME
    assert amphion.get("models", NAME).Config(**found.config) == net.config
    expected = net.state_dict()
    assert found.state.keys() == expected.keys()
    assert all(torch.equal(found.state[name], value) for name, value in expected.items())


def weights_of(net):
    return Weights(NAME, net.config.model_dump(mode="json"), net.state_dict())


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.fixture
def listed(monkeypatch):
    """Adds a card to those that are installed."""
    known = list(cards.cards())

    def add(card):
        known.append(card)
        monkeypatch.setattr(cards, "cards", lambda pattern="": (c for c in known if c.name.startswith(pattern)))

    return add


def test_a_weights_folder(tmp_path):
    net = small()
    folder = weights.save(net, tmp_path / "w")
    same(open_weights(folder), net)
    same(open_weights(str(folder)), net)
    assert open_weights(folder).origin == str(folder)


def test_a_card_of_our_own_format(tmp_path, listed):
    net = small()
    listed(Card(name=f"{NAME}@mine", title="t", source=str(weights.save(net, tmp_path / "w"))))
    same(open_weights(f"{NAME}@mine"), net)
    assert open_weights(f"{NAME}@mine").origin == f"{NAME}@mine"


def test_a_card_in_a_publishers_layout_is_converted_and_its_weight_norms_stay_apart(golden, tmp_path, listed):
    case = golden("hifigan_small_rb1")
    torch.save({"generator": case["state_dict"]}, tmp_path / "g.pt")
    source = str(tmp_path / "g.pt")
    listed(Card(name=f"{NAME}@theirs", title="t", source=source, layout="jik876", config=case["config"]))
    net = open_weights(f"{NAME}@theirs").network()
    assert "conv_pre.parametrizations.weight.original0" in {
        name.removeprefix("generator.") for name in net.state_dict()
    }
    made = net.for_inference().vocode(case["inputs"]["mel"])
    torch.testing.assert_close(made, case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)
    assert open_weights(f"{NAME}@theirs").network().training


@pytest.mark.parametrize("networks", [None, {"generator": "", "discriminator": None}])
def test_a_checkpoint_gives_the_model_of_its_run(tmp_path, networks):
    net = small()
    run = make_run(tmp_path / "run", {3: net}, networks=networks)
    same(open_weights(run / "checkpoints" / "step-3"), net)


def test_a_checkpoint_gives_the_averages_where_the_run_keeps_them(tmp_path):
    averaged = small(1)
    run = make_run(tmp_path / "run", {3: small()}, ema=averaged)
    same(open_weights(run / "checkpoints" / "step-3"), averaged)


def test_networks_that_are_parts_of_the_model_come_back_at_their_paths(tmp_path):
    net = small()
    part = next(name.partition(".")[0] for name in net.state_dict()) + "."
    run = tmp_path / "run"
    config = net.config.model_dump(mode="json")
    run.mkdir()
    (run / "config.yaml").write_text(yaml.dump({"name": "r", "model": {"name": NAME, **config}}))
    tensors = {"networks": {**stored(net, "inner", part), "judge.weight": torch.zeros(1)}, "optimizers": {}}
    checkpoint.write(run / "checkpoints", 1, tensors, {"networks": {"inner": part[:-1], "judge": None}})
    found = open_weights(run / "checkpoints" / "step-1")
    expected = {name: value for name, value in net.state_dict().items() if name.startswith(part)}
    assert found.state.keys() == expected.keys()
    assert all(torch.equal(found.state[name], value) for name, value in expected.items())


def test_a_damaged_checkpoint_is_refused(tmp_path):
    run = make_run(tmp_path / "run", {3: small()})
    damage(run / "checkpoints/step-3/networks.safetensors")
    with pytest.raises(WeightsError, match=r"networks\.safetensors is damaged"):
        open_weights(run / "checkpoints/step-3")
    (run / "checkpoints/step-3/SHA256SUMS").unlink()
    with pytest.raises(WeightsError, match="it has no SHA256SUMS"):
        open_weights(run / "checkpoints/step-3")


def test_a_checkpoint_outside_of_its_run_says_what_is_missing(tmp_path):
    run = make_run(tmp_path / "run", {3: small()})
    shutil.move(run / "checkpoints" / "step-3", tmp_path / "step-3")
    with pytest.raises(WeightsError, match="is not inside a run") as caught:
        open_weights(tmp_path / "step-3")
    assert "config.yaml" in caught.value.hint


def test_a_run_gives_its_weights_folder_then_its_best_then_its_newest_checkpoint(tmp_path):
    first, second, result = small(1), small(2), small(3)
    same(open_weights(make_run(tmp_path / "a", {1: first, 2: second})), second)
    same(open_weights(make_run(tmp_path / "b", {1: first, 2: second}, best=1)), first)
    weights.save(result, tmp_path / "b" / "weights")
    same(open_weights(tmp_path / "b"), result)


def test_of_a_run_damaged_checkpoints_are_skipped_with_a_warning(tmp_path):
    first, second, third = small(1), small(2), small(3)
    run = make_run(tmp_path / "a", {1: first, 2: second, 3: third}, best=1)
    damage(run / "checkpoints/step-3/networks.safetensors")
    with pytest.warns(UserWarning, match="step 3"):
        same(open_weights(run), first)
    damage(run / "checkpoints/step-1/networks.safetensors")
    with pytest.warns(UserWarning) as caught:
        same(open_weights(run), second)
    assert any("the newest checkpoint is used, not the best" in str(warning.message) for warning in caught)


def test_a_run_before_its_first_checkpoint_is_an_error(tmp_path):
    run = make_run(tmp_path / "run", {3: small()})
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(WeightsError, match="has no checkpoint yet"):
        open_weights(run)


def test_a_run_of_a_model_that_is_not_installed_names_it(tmp_path):
    run = make_run(tmp_path / "run", {3: small()}, model="vocoder/nobodys")
    with pytest.raises(RecipeError, match="vocoder/nobodys"):
        open_weights(run)


def test_places_without_weights_are_refused_with_a_next_step(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "model.safetensors").write_bytes(b"")
    for place, message in (
        (tmp_path / "empty", "neither a weights folder nor a run"),
        (tmp_path / "model.safetensors", "neither a weights folder nor a run"),
        (tmp_path / "nothing", "there is no folder"),
        ("./nothing", "there is no folder"),
    ):
        with pytest.raises(WeightsError, match=message) as caught:
            open_weights(place)
        assert "amphion" in caught.value.hint
    with pytest.raises(UnknownComponent, match="without weights"):
        open_weights(f"{NAME}@v1")


def test_load_takes_every_place(tmp_path):
    net = small()
    folder = weights.save(net, tmp_path / "w")
    run = make_run(tmp_path / "run", {3: net})
    mel = net.example_inputs()["mel"]
    expected = net.for_inference().vocode(mel)
    for place in (folder, run, run / "checkpoints/step-3"):
        torch.testing.assert_close(amphion.load(place).vocode(mel), expected, atol=1e-6, rtol=0)


def test_tensors_that_a_state_lacks_stay_as_they_are_only_if_that_is_asked_for(tmp_path):
    source, target = small(1), small(2)
    weights.save(source, tmp_path / "w")
    state = load_file(tmp_path / "w" / "model.safetensors")
    gone = next(iter(state))
    del state[gone]
    kept = target.state_dict()[gone].clone()
    with pytest.raises(WeightsError, match="1 missing"):
        weights.load_state(target, state, what="it")
    weights.load_state(target, state, what="it", missing="keep")
    assert torch.equal(target.state_dict()[gone], kept)
    assert all(torch.equal(target.state_dict()[name], value) for name, value in state.items())
    with pytest.raises(WeightsError, match="not a checkpoint of it"):
        weights.load_state(target, {"a": torch.zeros(1)}, what="it", missing="keep")


@pytest.mark.parametrize("mode", ["same", "other", "unknown"])
def test_parts_that_a_run_kept_frozen_are_those_of_the_config_or_an_error(tmp_path, monkeypatch, mode):
    component = amphion.get("models", NAME)
    original = component.__init__

    def fixed(self, config):  # as a model that loads a published part while it is built
        original(self, config)
        with torch.no_grad():
            for parameter in self.generator.ups.parameters():
                parameter.fill_(0.5)
        self.register_buffer("statistics", torch.ones(3))

    monkeypatch.setattr(component, "__init__", fixed)
    net = component(component.example_config())
    trained = {"pre": "generator.conv_pre", "blocks": "generator.resblocks", "post": "generator.conv_post"}
    kept = net.generator.ups.state_dict()
    if mode == "other":
        kept = {name: value + 1 for name, value in kept.items()}
    frozen = {"model.generator.ups": weights.state_digest(kept), "judge": "0"}
    buffers = {"mean": net.mean, "scale": net.scale, "statistics": net.statistics}
    frozen["model"] = weights.state_digest(buffers)
    if mode == "unknown":
        del frozen["model.generator.ups"]
    config = net.config.model_dump(mode="json")
    (tmp_path / "config.yaml").write_text(yaml.dump({"name": "r", "model": {"name": NAME, **config}}))
    tensors = {
        f"{name}.{key}": value
        for name, path in trained.items()
        for key, value in net.get_submodule(path).state_dict().items()
    }
    state = {"networks": trained, "identity": {"frozen": frozen}}
    found = open_weights(checkpoint.write(tmp_path / "checkpoints", 1, {"networks": tensors}, state))
    assert not any(name.startswith("generator.ups") for name in found.state)
    if mode == "same":
        same(weights_of(found.network()), net)
        return
    message = "does not store generator.ups, which its run kept frozen" if mode == "other" else "missing: generator.ups"
    with pytest.raises(WeightsError, match=message):
        found.network()
