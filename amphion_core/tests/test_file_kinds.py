"""What was given in place of a checkpoint is named, folders of checkpoints are read, and the ending does not matter."""

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from amphion_core import weights
from amphion_core.cli.main import main
from amphion_core.errors import WeightsError

STATE = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.zeros(2)}


def pickled(**options):
    file = io.BytesIO()
    torch.save(STATE, file, **options)
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pt"))
    return file.getvalue()


def zipped(name, data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


def numpy_array():
    file = io.BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


S3 = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message>'
    "<RequestId>1</RequestId></Error>"
)
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 55788932\n"
NEW, OLD, SAFE = pickled(), pickled(_use_new_zipfile_serialization=False), save(STATE)
KINDS = {  # contents, what the message says, what the hint says
    "pointer": (LFS.encode(), "a pointer of Git LFS to the checkpoint of 55,788,932 bytes", "git lfs pull"),
    "pointer with a mark": (b"\xef\xbb\xbf" + LFS.encode(), "a pointer of Git LFS", "git lfs pull"),
    "annex": (b"/annex/objects/SHA256E-s1--0.pt\n", "a pointer of git-annex", "git annex get"),
    "page": (b"<!DOCTYPE html>\n<html lang=en>", "a web page", "download the file itself"),
    "page after a comment": (b"\n<!-- x --><html><body>404</body></html>", "a web page", "raw link"),
    "page in XML": (b'<?xml version="1.0"?><html xmlns="x"></html>', "a web page", "download"),
    "denied": (S3.encode(), "the server answered AccessDenied: Access Denied", "download it again"),
    "JSON": (
        b'{"error": "Repository not found"}',
        "a JSON text, not a checkpoint file; it begins with",
        "--config FILE",
    ),
    "text": (b"Entry not found", "a text, not a checkpoint file; it begins with 'Entry not found'", "checkpoint file"),
    "empty": (b"", r"empty \(0 bytes\)", "download it again"),
    "zeros": (bytes(5000), "without contents", "download it again"),
    "cut": (NEW[: len(NEW) // 2], f"a damaged checkpoint of torch: it is cut short after {len(NEW) // 2:,}", "again"),
    "cut header": (SAFE[:50], "a damaged safetensors file: it is cut short after 50 bytes", "again"),
    "cut data": (SAFE[:-4], "damaged or not a checkpoint", "again"),
    "cut legacy": (OLD[:-20], "damaged or not a checkpoint", "again"),
    "gzip": (gzip.compress(NEW), "a gzip archive", "tar -xzf"),
    "bzip2": (bz2.compress(NEW), "a bzip2 archive", "bunzip2"),
    "xz": (lzma.compress(NEW), "an xz archive", "unxz"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", "a 7z archive", "7z x"),
    "zstd": (b"\x28\xb5\x2f\xfd\x00\x00", "a zstd archive", "unzstd"),
    "tar": (tarred(), "a tar archive", "tar -xf"),
    "zip": (zipped("model.pt", NEW), "a zip archive without a checkpoint of torch; it holds model.pt", "unpack it"),
    "HDF5": (b"\x89HDF\r\n\x1a\n\x00", "an HDF5 file, as Keras and TensorFlow write", "checkpoint file"),
    "TensorFlow Lite": (b"\x1c\x00\x00\x00TFL3\x00\x01", "a model of TensorFlow Lite", "checkpoint file"),
    "NumPy": (numpy_array(), "one NumPy array", "checkpoint file"),
    "GGUF": (b"GGUF\x03\x00\x00\x00", "a GGUF file", "checkpoint file"),
    "audio": (b"RIFF\x24\x00\x00\x00WAVEfmt ", "an audio file", "checkpoint file"),
    "noise": (bytes(range(128, 256)) * 9, "damaged or not a checkpoint", "download it again"),
    "a list": (b"\x80\x02]q\x00.", "a pickle that torch.save did not write", "safetensors"),
}


@pytest.mark.parametrize("ending", [".pt", ".safetensors", ""])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_file_is_in_place_of_a_checkpoint_is_said(tmp_path, kind, ending):
    contents, message, hint = KINDS[kind]
    path = tmp_path / f"model{ending}"
    path.write_bytes(contents)
    with pytest.raises(WeightsError, match=message) as caught:
        weights.read_checkpoint(path)
    assert str(path) in caught.value.message and "\n" not in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("ending", [".pt", ".safetensors", ".bin", ".onnx", ".data", ""])
@pytest.mark.parametrize("contents", [NEW, OLD, SAFE], ids=["torch", "old torch", "safetensors"])
def test_the_contents_decide_and_not_the_ending(tmp_path, contents, ending):
    path = tmp_path / f"model{ending}"
    path.write_bytes(contents)
    assert torch.equal(weights.read_checkpoint(path)["layer.weight"], STATE["layer.weight"])


def test_the_shared_cases_are_named(data_pack, tmp_path, capsys):
    cases = data_pack.parent / "cases"
    if not cases.is_dir():
        pytest.skip(f"no {cases}; set AMPHION_SHARED to the folder above")
    for name, message in (("lfs.pt", "is a pointer of Git LFS"), ("page.pt", "is a web page")):
        words = ["convert", "vocoder/hifigan", str(cases / name), "--layout", "jik876", "-o", str(tmp_path / "out")]
        assert main(words) == 2
        assert f"{name} {message}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["model.safetensors", "pytorch_model.bin", "diffusion_pytorch_model.safetensors", "generator.pt"]
)
def test_a_folder_stands_for_its_file_of_weights(tmp_path, name):
    (tmp_path / name).write_bytes(SAFE if name.endswith("safetensors") else NEW)
    for other in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl", "config.json", "scaler.pt"):
        (tmp_path / other).write_bytes(b"\x80\x02cos\nsystem\n.")
    assert weights.read_checkpoint(tmp_path).keys() == STATE.keys()


def test_the_first_network_of_accelerate_is_read(tmp_path):
    save_file(STATE, tmp_path / "model.safetensors")
    save_file({"judge": torch.zeros(1)}, tmp_path / "model_1.safetensors")
    assert weights.read_checkpoint(tmp_path).keys() == STATE.keys()
    assert list(weights.read_checkpoint(tmp_path / "model_1.safetensors")) == ["judge"]


def sharded(folder, suffix="safetensors"):
    files = {}
    for number, (name, tensor) in enumerate(STATE.items()):
        file = f"model-{number}-of-2.{suffix}"
        write = save_file if suffix == "safetensors" else torch.save
        write({name: tensor}, folder / file)
        files[name] = file
    index = folder / f"{'model' if suffix == 'safetensors' else 'pytorch_model'}.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 32}, "weight_map": files}))
    return index


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_checkpoint_in_several_files_is_read_through_its_index(tmp_path, suffix):
    index = sharded(tmp_path, suffix)
    for place in (index, tmp_path):
        found = weights.read_checkpoint(place)
        assert found.keys() == STATE.keys() and torch.equal(found["layer.weight"], STATE["layer.weight"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"layer.weight": "../secret.pt"}, "which is no file beside it"),
        ({"layer.weight": "/etc/passwd"}, "which is no file beside it"),
        ({"layer.weight": "absent.pt"}, "of which absent.pt is missing"),
        ({"layer.weight": "model-1-of-2.safetensors"}, "has no tensor layer.weight"),
        ({"layer.weight": "model.safetensors.index.json"}, "which is no file beside it"),
        ([1], "is not a readable index"), (5, "is not a readable index"), ({"a": 5}, "of which 5 is missing"),
    ],
)  # fmt: skip
def test_an_index_that_does_not_fit_its_folder_is_refused(tmp_path, table, message):
    index = sharded(tmp_path)
    index.write_text(json.dumps({"weight_map": table}))
    with pytest.raises(WeightsError, match=message):
        weights.read_checkpoint(index)


def test_an_index_without_a_table_is_refused(tmp_path):
    for text in ("{}", "[]", '{"weight_map": ', "[" * 20_000):
        (tmp_path / "model.safetensors.index.json").write_text(text)
        with pytest.raises(WeightsError, match="is not a readable index"):
            weights.read_checkpoint(tmp_path)


def test_a_folder_without_one_checkpoint_says_what_to_name(tmp_path):
    with pytest.raises(WeightsError, match="is a folder without a checkpoint file"):
        weights.read_checkpoint(tmp_path)
    (tmp_path / "step-5").mkdir()
    (tmp_path / "step-5" / "model.safetensors").write_bytes(SAFE)
    with pytest.raises(WeightsError) as caught:
        weights.read_checkpoint(tmp_path)
    assert str(tmp_path / "step-5") in caught.value.hint
    for name in ("g_1.pt", "g_2.pt"):
        (tmp_path / name).write_bytes(NEW)
    with pytest.raises(WeightsError, match="holds 2 checkpoint files") as caught:
        weights.read_checkpoint(tmp_path)
    assert "name one of them: g_1.pt, g_2.pt" in caught.value.hint


def test_a_pipe_a_device_and_what_is_not_there_are_different_errors(tmp_path):
    os.mkfifo(tmp_path / "model.pt")
    (tmp_path / "device.pt").symlink_to("/dev/zero")
    for name in ("model.pt", "device.pt"):
        with pytest.raises(WeightsError, match="is a device or a pipe, not a file"):
            weights.read_checkpoint(tmp_path / name)
    for name in ("absent.pt", "a" * 300, "\0"):
        with pytest.raises(WeightsError, match=r"there is no checkpoint|cannot be read"):
            weights.read_checkpoint(tmp_path / name)
