"""Files of publishers: configs in JSON and YAML, beside a checkpoint or given; no code in them runs."""

import json
import os

import numpy as np
import pytest
import torch
import yaml

import amphion_core as amphion
from amphion_core.checkpoints.publisher_files import find_config, read_config, read_file
from amphion_core.cli.main import main
from amphion_core.errors import WeightsError


@pytest.mark.parametrize("name", ["g_1.pt.json", "g_1.json", "config.json", "g_1.pt.yaml", "g_1.yaml", "config.yml"])
def test_a_config_beside_the_checkpoint_is_found(tmp_path, name):
    (tmp_path / name).write_text('{"rate": 22050}')  # JSON is YAML too
    assert find_config(tmp_path / "g_1.pt") == {"rate": 22050}


def test_the_nearest_name_is_taken_and_none_is_no_error(tmp_path):
    assert find_config(tmp_path / "g_1") is None
    (tmp_path / "config.json").write_text('{"of": "all"}')
    (tmp_path / "g_1.json").write_text('{"of": "this"}')
    assert find_config(tmp_path / "g_1") == {"of": "this"}


def test_a_published_checkpoint_with_a_yaml_config_converts(golden, tmp_path):
    case = golden("hifigan_small_rb1")
    torch.save({"generator": case["state_dict"]}, tmp_path / "g_1.pt")
    for folder in ("beside", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.yaml").write_text(yaml.safe_dump(case["config"]))
    torch.save({"generator": case["state_dict"]}, tmp_path / "beside" / "g_1.pt")
    net = amphion.import_model("vocoder/hifigan", tmp_path / "beside" / "g_1.pt", layout="jik876")
    torch.testing.assert_close(net.vocode(case["inputs"]["mel"]), case["outputs"]["wav"][:, 0], atol=1e-5, rtol=0)
    words = ["convert", "vocoder/hifigan", str(tmp_path / "g_1.pt"), "--layout", "jik876", "-o", str(tmp_path / "out")]
    assert main(words) == 2  # there is no config beside this one
    assert main([*words, "--config", str(tmp_path / "elsewhere" / "config.yaml")]) == 0
    assert amphion.load(tmp_path / "out").config == net.config


def test_yaml_is_read_as_publishers_write_it(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "lr: 1e-5\nbias: yes\nrates: !!python/tuple [8, 8]\nbase: &b {x: 1}\nnext: {<<: *b, y: 2E6}\ntext: 12e"
    )
    assert read_config(tmp_path / "a.yaml") == {
        "lr": 1e-5, "bias": True, "rates": [8, 8], "base": {"x": 1}, "next": {"x": 1, "y": 2e6}, "text": "12e",
    }  # fmt: skip


def test_a_config_with_code_damage_or_another_content_is_refused(tmp_path):
    exploded = tmp_path / "exploded"
    for name, text, message in (
        ("a.yaml", f"a: !!python/object/apply:os.mkdir ['{exploded}']", "not readable YAML.*python/object"),
        ("b.yaml", "a: [1", "not readable YAML"),
        ("c.json", '{"a": ', "not readable JSON"),
        ("d.json", "[1, 2]", "holds a list, not named values"),
        ("e.txt", "rate 22050", "not a configuration file by its name"),
        ("f.json", None, "there is no file"),
    ):
        if text is not None:
            (tmp_path / name).write_text(text)
        with pytest.raises(WeightsError, match=message) as caught:
            read_config(tmp_path / name)
        assert name in caught.value.message and "\n" not in caught.value.message
    assert not exploded.exists()


def test_arrays_tensors_and_text_are_read_and_pickled_arrays_are_not(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3.0))
    np.savez(tmp_path / "b.npz", mean=np.ones(2))
    np.save(tmp_path / "c.npy", np.array([{}], dtype=object), allow_pickle=True)
    torch.save({"w": torch.zeros(2)}, tmp_path / "d.pt")
    (tmp_path / "e.txt").write_text("a b\n")
    (tmp_path / "f.json").write_text(json.dumps([1]))
    assert read_file(tmp_path / "a.npy").tolist() == [0, 1, 2]
    assert read_file(tmp_path / "b.npz")["mean"].tolist() == [1, 1]
    assert read_file(tmp_path / "d.pt")["w"].shape == (2,)
    assert read_file(tmp_path / "e.txt") == "a b\n"
    assert read_file(tmp_path / "f.json") == [1]
    with pytest.raises(WeightsError, match="not readable arrays"):
        read_file(tmp_path / "c.npy")
    with pytest.raises(WeightsError, match="there is no"):
        read_file(tmp_path / "missing.pt")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04 and no more"])
def test_a_damaged_array_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name} is not readable arrays"):
        read_file(tmp_path / name)


@pytest.mark.parametrize("name", ["c.json", "c.yaml", "c.txt", "c.npy"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(WeightsError, match="it is a pipe"):
        read_file(tmp_path / name)


def test_convert_refuses_a_file_without_a_key(tmp_path, capsys):
    words = ["convert", "vocoder/hifigan", "a.pt", "--layout", "jik876", "-o", str(tmp_path / "out"), "--file", "vocab"]
    assert main(words) == 2
    assert "KEY=PATH" in capsys.readouterr().err
