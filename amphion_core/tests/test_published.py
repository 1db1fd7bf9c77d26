"""Checkpoints of publishers: the layout that fits is found, others are refused, and wrong values are named."""

import json

import pytest
import torch
import yaml
from safetensors.torch import save_file

import amphion_core as amphion
from amphion_core import weights
from amphion_core.checkpoints.publisher_files import flatten, read_config
from amphion_core.cli.main import main
from amphion_core.errors import AmphionError, RecipeError, WeightsError
from amphion_core.loading import convert, find_layout

NAME = "vocoder/hifigan"


@pytest.fixture
def published(golden, tmp_path):
    """The authors' checkpoint with its config beside it: the file, and what it computes."""
    case = golden("hifigan_small_rb1")
    torch.save({"generator": case["state_dict"]}, tmp_path / "g_1.pt")
    (tmp_path / "config.json").write_text(json.dumps(case["config"]))
    return tmp_path / "g_1.pt", case


def hugging_face(published):
    """The same network as transformers names it."""
    _, case = published
    return {name.replace("ups.", "upsampler."): tensor for name, tensor in case["state_dict"].items()}


def converted(checkpoint, out, *words):
    return main(["convert", NAME, str(checkpoint), "-o", str(out), *words])


def test_convert_finds_the_layout_of_the_authors(published, tmp_path, capsys):
    path, case = published
    assert converted(path, tmp_path / "out") == 0
    assert "layout: jik876" in capsys.readouterr().out
    made = amphion.load(tmp_path / "out").vocode(case["inputs"]["mel"])
    torch.testing.assert_close(made, case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)
    assert "(layout jik876, sha256 " in (tmp_path / "out" / "card.md").read_text()


def test_convert_finds_the_layout_of_transformers(published, tmp_path, capsys):
    path, _ = published
    torch.save(hugging_face(published), path)
    assert converted(path, tmp_path / "out") == 0
    assert "layout: transformers" in capsys.readouterr().out
    assert amphion.load(tmp_path / "out").config.mel.log == "log10"


def test_a_checkpoint_of_another_layout_is_refused_with_the_one_that_fits(published, tmp_path, capsys):
    path, _ = published
    assert converted(path, tmp_path / "out", "--layout", "transformers") == 2
    shown = capsys.readouterr().err
    assert "this is no HiFi-GAN of the layout 'transformers': its upsampling layers are named ups." in shown
    assert "it fits another layout: --layout jik876 or amphion" in shown
    torch.save(hugging_face(published), path)
    for layout in ("jik876", "amphion"):
        assert converted(path, tmp_path / "out", "--layout", layout) == 2
        assert "it fits another layout: --layout transformers" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_no_layout_and_one_of_several_say_so(published):
    path, _ = published
    torch.save({"other.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"g_1\.pt fits no layout of vocoder/hifigan") as caught:
        find_layout(NAME, path)
    assert "--layout (jik876, amphion, transformers)" in caught.value.hint
    judge = amphion.get("models", "discriminator/mpd")
    net = judge(judge.example_config())
    torch.save(net.state_dict(), path)
    (path.parent / "config.json").unlink()
    with pytest.raises(WeightsError, match="fits several layouts of discriminator/mpd") as caught:
        find_layout("discriminator/mpd", path)  # the stride of Amphion's is another one
    assert "--layout with one of jik876, nvidia, amphion" in caught.value.hint


def test_folders_of_accelerate_are_converted(published, tmp_path):
    _, case = published
    folder = tmp_path / "run" / "checkpoint" / "epoch-0001_step-0001000_loss-1.0"
    folder.mkdir(parents=True)
    save_file(case["state_dict"], folder / "model.safetensors")
    save_file({"judge": torch.zeros(1)}, folder / "model_1.safetensors")
    (folder / "optimizer.bin").write_bytes(b"\x80\x02cos\nsystem\n.")
    nested = {"model": {"hifigan": case["config"]}, "preprocess": {"sample_rate": 22050}}
    (tmp_path / "run" / "args.json").write_text(json.dumps(nested))
    net = amphion.import_model(NAME, folder, layout="amphion")
    torch.testing.assert_close(net.vocode(case["inputs"]["mel"]), case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)
    assert converted(folder, tmp_path / "out", "--layout", "amphion") == 0
    assert "`model.safetensors` (layout amphion, sha256 " in (tmp_path / "out" / "card.md").read_text()


def test_a_weights_folder_of_ours_needs_no_conversion(tmp_path):
    component = amphion.get("models", NAME)
    folder = weights.save(component(component.example_config()), tmp_path / "w")
    with pytest.raises(WeightsError, match="is a weights folder of Amphion already") as caught:
        convert(NAME, folder, layout="jik876")
    assert f"amphion_core.load({str(folder)!r})" in caught.value.hint


def changed(state, name, value):
    return {**state, name: value}


FAULTS = {
    "NaN": (lambda t: t * float("nan"), r"has \d+ of \d+ values that are not finite"),
    "one infinite value": (lambda t: t.masked_fill(t == t.max(), float("inf")), r"1 of \d+ values that are not finite"),
    "infinite as float32": (lambda t: t.double() * 1e300, "values that are not finite"),
    "whole numbers": (lambda t: t.to(torch.int64), "is int64; the network has float32"),
    "truth values": (lambda t: t.bool(), "is bool; the network has float32"),
    "complex": (lambda t: t.to(torch.complex64), "is complex64; the network has float32"),
    "float8": (lambda t: t.to(torch.float8_e4m3fn), "is float8_e4m3fn; the network has float32"),
    "sparse": (lambda t: t.to_sparse(), "is sparse or nested"),
    "quantised": (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), r"is quantised \(qint8\)"),
    "without values": (lambda t: t.to("meta"), "has a shape and no values"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.filterwarnings("ignore:.*quantize")
def test_values_that_no_network_can_use_are_refused_with_the_tensors_name(published, fault):
    _, case = published
    change, message = FAULTS[fault]
    state = changed(
        case["state_dict"],
        "conv_pre.bias",
        change(torch.linspace(-1, 1, 64)[: case["config"]["upsample_initial_channel"]]),
    )
    state["conv_pre.bias"] = change(torch.linspace(-1, 1, len(case["state_dict"]["conv_pre.bias"])))
    with pytest.raises(WeightsError, match=message) as caught:
        convert(NAME, state, layout="jik876", config=case["config"])
    assert "conv_pre.bias" in caught.value.message
    assert "another layout" not in caught.value.hint  # other layouts have the same names, and the same fault


@pytest.mark.parametrize("fault", ["NaN", "whole numbers", "truth values", "complex", "float8"])
def test_weights_of_ours_are_checked_when_they_are_loaded(tmp_path, fault):
    component = amphion.get("models", NAME)
    net = component(component.example_config())
    folder = weights.save(net, tmp_path / "w")
    state = net.state_dict()
    name = "generator.conv_pre.bias"
    save_file(changed(state, name, FAULTS[fault][0](state[name])), folder / "model.safetensors")
    with pytest.raises(WeightsError, match=FAULTS[fault][1]) as caught:
        amphion.load(folder)
    assert name in caught.value.message and str(folder) in caught.value.message


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_read(published, dtype):
    _, case = published
    state = {name: tensor.to(dtype) for name, tensor in case["state_dict"].items()}
    net = convert(NAME, state, layout="jik876", config=case["config"])
    assert {tensor.dtype for tensor in net.state_dict().values()} == {torch.float32}


def test_a_large_sum_is_not_mistaken_for_a_value_that_is_not_finite(published):
    _, case = published
    state = changed(case["state_dict"], "conv_pre.bias", torch.full_like(case["state_dict"]["conv_pre.bias"], 3e38))
    assert convert(NAME, state, layout="jik876", config=case["config"])


def test_a_folded_channel_of_zeros_stays_zero(published):
    _, case = published
    net = convert(NAME, case["state_dict"], layout="jik876", config=case["config"]).for_inference()
    state = {name.removeprefix("generator."): tensor.clone() for name, tensor in net.state_dict().items()}
    state["conv_pre.weight"][0] = 0
    again = convert(NAME, state, layout="jik876", config=case["config"]).for_inference()
    assert float(again.state_dict()["generator.conv_pre.weight"][0].abs().max()) == 0


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({5: torch.zeros(1)}, r"a tensor of the checkpoint is named 5 \(int\)"),
        ({("a", 1): torch.zeros(1), "b": torch.zeros(1)}, r"named \('a', 1\) \(tuple\)"),
        ({"generator": {None: torch.zeros(1)}}, r"named None \(NoneType\)"),
        ({}, "holds no tensors; it holds nothing"),
        ({"epoch": 3, "generator": {"steps": [1, 2]}}, "holds no tensors; it holds epoch, generator"),
        ({"generator": {"x": {"y": {"z": torch.zeros(1)}}}}, "not a checkpoint of vocoder/hifigan"),
        ({"generator": {"conv_pre.weight": "text", "b": torch.zeros(1)}}, "not a checkpoint of vocoder/hifigan"),
    ],
)
def test_a_state_dict_of_another_kind_is_one_sentence(golden, state, message):
    with pytest.raises(WeightsError, match=message):
        amphion.import_model(NAME, state, layout="jik876", config=golden("hifigan_small_rb1")["config"])


VALUES = [
    ("upsample_rates", 5, "upsample_rates is 5, not a list of numbers"),
    ("upsample_rates", [8, "x"], r"upsample_rates is \[8, 'x'\], not whole numbers"),
    ("upsample_rates", [[8]], "not whole numbers"),
    ("upsample_rates", [8] * 3000, "upsample_rates is .*, whose product is no hop of a mel"),
    ("upsample_rates", None, "does not state upsample_rates"),
    ("upsample_initial_channel", 10**30, "upsample_initial_channel is 10+, not a whole number"),
    ("upsample_initial_channel", -4, "upsample_initial_channel is -4"),
    ("upsample_initial_channel", 0.5, "upsample_initial_channel is 0.5"),
    ("upsample_initial_channel", True, "upsample_initial_channel is True"),
    ("upsample_initial_channel", 2**30, "the network cannot be built"),
    ("resblock_dilation_sizes", [1, 3], "resblock_dilation_sizes is .*, not a list of numbers"),
    ("resblock_dilation_sizes", {"a": 1}, "resblock_dilation_sizes"),
    ("resblock_kernel_sizes", [3, 10], "resblock_kernels: 10 is even"),
    ("resblock", "3", "resblock: input should be '1' or '2'"),
    ("resblock", [1], r"resblock is \[1\], not whole numbers"),
    ("num_mels", "eighty", "num_mels is 'eighty', not a whole number"),
    ("sampling_rate", float("nan"), "sampling_rate is nan"),
    ("sampling_rate", float("inf"), "sampling_rate is inf"),
    ("fmax", [1], r"fmax is \[1\], not a number"),
    ("fmin", "low", "fmin is 'low', not a number"),
    ("hop_size", 0, "hop_size is 0"),
]


@pytest.mark.parametrize(
    ("field", "value", "message"), VALUES, ids=[f"{field}-{n}" for n, (field, *_) in enumerate(VALUES)]
)
def test_a_wrong_value_in_a_publishers_config_is_named(golden, field, value, message):
    case = golden("hifigan_small_rb1")
    config = {**case["config"], field: value}
    with pytest.raises((WeightsError, RecipeError), match=message):
        convert(NAME, case["state_dict"], layout="jik876", config=config)


def test_every_config_of_transformers_is_checked(published):
    _, case = published
    for field, value, message in (
        ("leaky_relu_slope", 0.2, "leaky_relu_slope is 0.2; our HiFi-GAN has 0.1 only"),
        ("leaky_relu_slope", "x", "leaky_relu_slope is 'x', not a number"),
        ("normalize_before", 5, "normalize_before is 5, not true or false"),
        ("sampling_rate", "fast", "sampling_rate is 'fast'"),
    ):
        with pytest.raises(WeightsError, match=message):
            convert(NAME, hugging_face(published), layout="transformers", config={**case["config"], field: value})
    for mean in (torch.zeros(1, 80), torch.zeros(80, dtype=torch.int64), "text"):
        state = hugging_face(published) | {"mean": mean, "scale": torch.ones(80)}
        with pytest.raises(WeightsError, match="mean: one number for each mel band"):
            convert(NAME, state, layout="transformers", config=case["config"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 20_000, "is nested too deeply"),
        ('{"a":' * 20_000, "is nested too deeply"),
        ('{"a": 1, "a": 2}', "the key 'a' is given twice, with different values"),
        ('{"model": {"a": 1, "a": [2]}}', "the key 'a' is given twice"),
        ("5", "holds a int, not named values"),
        ("null", "holds a NoneType, not named values"),
        ("", "is not readable JSON"),
        ('{"a": ' + "1" * 5000 + "}", "is not readable JSON"),
        ("\ufeff{}x", "is not readable JSON"),
    ],
)
def test_a_json_config_that_cannot_be_meant_is_refused(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=message) as caught:
        read_config(tmp_path / "config.json")
    assert "config.json" in caught.value.message


def test_json_with_a_mark_at_its_start_and_a_key_given_twice_alike_is_read(tmp_path):
    (tmp_path / "config.json").write_text('\ufeff{"a": 1, "a": 1}', encoding="utf-8")
    assert read_config(tmp_path / "config.json") == {"a": 1}


def test_yaml_whose_sections_refer_to_each_other_ends(tmp_path):
    lines = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{l: *a{n - 1}, r: *a{n - 1}}}" for n in range(1, 60)]
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    with pytest.raises(WeightsError, match="too many values"):
        flatten(read_config(tmp_path / "config.yaml"))
    (tmp_path / "deep.yaml").write_text("a: " + "[" * 5000)
    with pytest.raises(WeightsError, match=r"nested too deeply|not readable YAML"):
        read_config(tmp_path / "deep.yaml")


def test_an_error_inside_of_a_layout_is_one_of_ours(monkeypatch):
    component = amphion.get("models", NAME)

    def broken(*args, **kwargs):
        raise KeyError("weight")

    monkeypatch.setattr(component, "import_state_dict", broken)
    with pytest.raises(WeightsError, match="cannot be read in the layout 'jik876' of vocoder/hifigan: KeyError"):
        convert(NAME, {"w": torch.zeros(1)}, layout="jik876", config={})


def test_metadata_of_safetensors_that_are_wrong_end_in_one_sentence(tmp_path):
    for header in (
        b'{"w":{"dtype":"F32","shape":[9999999999],"data_offsets":[0,4]}}', b'{"w":5}', b'{"__metadata__":5}',
        b'{"w":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}', b'{"w":', b"{}",
    ):  # fmt: skip
        (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
        with pytest.raises(WeightsError, match=r"a\.safetensors"):
            weights.read_checkpoint(tmp_path / "a.safetensors")


def test_a_weights_folder_with_a_wrong_config_is_one_sentence(tmp_path):
    component = amphion.get("models", NAME)
    folder = weights.save(component(component.example_config()), tmp_path / "w")
    stated = yaml.safe_load((folder / "config.yaml").read_text())
    for change in ({"channels": 2**40}, {"channels": 2**25}, {"upsample_rates": 5}, {"mel": []}, {"channels": None}):
        (folder / "config.yaml").write_text(yaml.safe_dump({**stated, "config": {**stated["config"], **change}}))
        with pytest.raises(AmphionError, match=r"channels|upsample_rates|mel"):
            amphion.load(folder)
