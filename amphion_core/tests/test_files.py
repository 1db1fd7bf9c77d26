"""Writing files: completely or not at all, and a reason where it is not possible."""

import errno
import os
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from amphion_core.errors import AmphionError, RecipeError
from amphion_core.files import atomic_write, check_writable, read_file, write_safetensors


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    with pytest.raises(AmphionError, match="full") as caught, atomic_write(path) as temporary:
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.hint
    assert path.read_text() == "old" and [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_and_a_device_are_not_written(tmp_path):
    for path in (tmp_path, "/dev/null"):
        with pytest.raises(AmphionError, match=r"not a file"):
            check_writable(path)


@contextmanager
def small_disk(size: int):
    """No file can grow beyond ``size`` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


DATA = np.ones(10_000)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(DATA.tobytes()),
        lambda path: path.write_text("x" * 80_000),
        lambda path: np.save(path, DATA),
        lambda path: save_file({"a": DATA}, path),
        lambda path: path.unlink() or write_safetensors(path, {"a": torch.from_numpy(DATA)}),
    ],
    ids=["bytes", "text", "numpy", "safetensors", "weights"],
)
def test_every_way_to_write_reports_a_full_disk(tmp_path, write):
    path = tmp_path / "a.npy"
    path.write_text("old")
    full = r"a\.npy cannot be written: the disk is full"
    with small_disk(5000), pytest.raises(AmphionError, match=full) as caught, atomic_write(path) as temporary:
        write(temporary)
    assert caught.value.hint.startswith("make room")
    assert path.read_text() == "old" and [each.name for each in tmp_path.iterdir()] == ["a.npy"]


def test_weights_on_a_full_disk_are_an_error_of_the_system(tmp_path):
    with small_disk(5000), pytest.raises(OSError) as caught:
        write_safetensors(tmp_path / "a.safetensors", {"a": torch.from_numpy(DATA)})
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 300, "File name too long"),
        ("x/" * 3000 + "a", "File name too long"),
        ("a\0b", "embedded null"),
        ("loop/a.wav", "."),
        ("loop", "."),
        ("~no such user/a.wav", "."),
        ("pipe", "not a file"),
    ],
)
def test_a_path_that_cannot_be_written_has_a_reason(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")
    for call in (check_writable, lambda path: atomic_write(path).__enter__()):
        with pytest.raises(AmphionError, match=message) as caught:
            call(name)
        assert caught.value.hint and len(caught.value.message) < 600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["loop", "pipe"]


@pytest.mark.parametrize("name", ["漢" * 83 + ".wav", "x" * 251 + ".wav", "a." + "x" * 253, "é" * 127])
def test_the_longest_names_can_be_written(tmp_path, name):
    with atomic_write(tmp_path / name) as temporary:
        temporary.write_text("new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(name, "new")]


def test_a_path_that_is_no_file_is_one_sentence_with_one_hint(tmp_path):
    os.mkfifo(tmp_path / "recipe.yaml")
    with pytest.raises(RecipeError) as caught:
        read_file(tmp_path / "recipe.yaml", RecipeError, wanted="a YAML file")
    assert caught.value.message.count("cannot be read") == 1 and str(caught.value).count("hint:") == 1
    assert caught.value.hint == "name a YAML file"
