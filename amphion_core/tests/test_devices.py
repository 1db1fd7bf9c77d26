"""Devices: what is there is accepted, what is not there is one clear error everywhere."""

import numpy as np
import pytest
import torch
from pydantic import Field

import amphion_core as amphion
from amphion_core.api import BaseConfig
from amphion_core.cli.main import main
from amphion_core.config import validate
from amphion_core.devices import Device, available_devices, resolve_device
from amphion_core.errors import DeviceError, RecipeError


def test_the_cpu_is_always_there_and_auto_takes_what_is_best():
    assert resolve_device("cpu") == torch.device("cpu")
    assert available_devices()[0] == "cpu"
    assert str(resolve_device("auto")).partition(":")[0] == available_devices()[-1].partition(":")[0]


@pytest.mark.parametrize("name", ["gpu", "cuda:97", "meta", "", "cuda:x"])
def test_a_device_that_is_not_there_is_named_with_those_that_are(name):
    with pytest.raises(DeviceError, match=f"no device '{name}'.* finds: cpu"):
        resolve_device(name)


def test_cuda_without_a_gpu_is_refused_and_with_two_gpus_both_are_accepted(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)
    with pytest.raises(DeviceError, match="no device 'cuda'"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert available_devices() == ("cpu", "cuda:0", "cuda:1")
    assert [str(resolve_device(name)) for name in ("cuda", "cuda:1", "auto")] == ["cuda", "cuda:1", "cuda"]
    with pytest.raises(DeviceError, match="no device 'cuda:2'"):
        resolve_device("cuda:2")


def test_a_config_field_that_names_a_device_is_checked():
    class Config(BaseConfig):
        device: Device = Field(default="auto", description="where the network runs")

    assert Config().device == str(resolve_device("auto"))
    with pytest.raises(RecipeError, match="device: this computer has no device 'gpu'"):
        validate(Config, {"device": "gpu"})


def test_loading_a_task_and_the_command_line_use_the_same_check(tmp_path, capsys):
    with pytest.raises(DeviceError, match="no device 'gpu'"):
        amphion.task("vocoder", device="gpu")
    with pytest.raises(DeviceError, match="no device 'gpu'"):
        amphion.load(tmp_path, device="gpu")
    amphion.Audio(np.zeros(8000, np.float32), 16000).save(tmp_path / "a.wav")
    words = ["vocode", str(tmp_path / "a.wav"), "-o", str(tmp_path / "b.wav"), "--device", "cuda:97"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "this computer has no device 'cuda:97'" in error and "hint: choose one of auto, cpu" in error
