"""Pickled checkpoints: harmless types are read, everything else is refused with its name, and nothing runs."""

import argparse
import builtins
import collections
import datetime
import functools
import io
import os
import pathlib
import pickle
import struct
import subprocess
import types
import zipfile
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
import pytest
import torch

from amphion_core import weights
from amphion_core.errors import WeightsError


def training_checkpoint():
    """What trainers store beside the tensors, as Piper's do."""
    return {
        "state_dict": {"w": torch.arange(3.0), "p": torch.nn.Parameter(torch.ones(2))},
        "callbacks": {"ModelCheckpoint": {"best_model_score": None, "dirpath": pathlib.PosixPath("/runs/a")}},
        "hyper_parameters": {
            "dataset": [pathlib.PosixPath("/a/b"), PurePosixPath("c"), PureWindowsPath("C:\\x")],
            "numbers": [np.float64(1e-3), np.int64(4), np.float32(0.5), np.bool_(True)],
            "options": argparse.Namespace(rate=22050, folder=pathlib.PosixPath("d")),
            "simple": types.SimpleNamespace(a=1),
            "counted": collections.defaultdict(list, {"a": [1]}),
            "ordered": collections.OrderedDict(x=1),
            "recent": collections.deque([1, 2], maxlen=5),
            "torch": [torch.device("cpu"), torch.float16, torch.Size([1, 2])],
            "array": np.arange(6.0).reshape(2, 3),
            "fortran": np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
            "ignored": [np.dtype("f4"), np.float32, datetime.datetime(2024, 1, 2), frozenset([1]), range(3)],
            "objects": np.array([{}], dtype=object),
        },
    }


@pytest.mark.parametrize("archive", [True, False])
def test_harmless_types_become_plain_values(tmp_path, archive):
    path = tmp_path / "voice.ckpt"
    torch.save(training_checkpoint(), path, _use_new_zipfile_serialization=archive)
    found = weights.read_checkpoint(path)
    assert found["state_dict"]["w"].tolist() == [0, 1, 2] and type(found["state_dict"]["p"]) is torch.Tensor
    assert found["callbacks"]["ModelCheckpoint"]["dirpath"] == "/runs/a"
    values = found["hyper_parameters"]
    assert values["array"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert values["fortran"].tolist() == [[0, 1, 2], [3, 4, 5]]
    del values["array"], values["fortran"]
    assert values == {
        "dataset": ["/a/b", "c", "C:\\x"], "numbers": [1e-3, 4, 0.5, True], "options": {"rate": 22050, "folder": "d"},
        "simple": {"a": 1}, "counted": {"a": [1]}, "ordered": {"x": 1}, "recent": [1, 2],
        "torch": [torch.device("cpu"), torch.float16, (1, 2)], "ignored": [None] * 5, "objects": None,
    }  # fmt: skip


def opcodes(*names, body=b""):
    """A pickle that names ``names`` and then does ``body``."""
    named = b"".join(b"c" + module.encode() + b"\n" + name.encode() + b"\n" for module, name in names)
    return b"\x80\x02" + named + body + b"."


def in_archive(path, pickled_bytes, *, records=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled_bytes)
        archive.writestr("archive/version", "3\n")
        for name, data in records:
            archive.writestr(f"archive/{name}", data)
    return path


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


CALL = b"(" + text("echo > {bomb}") + b"tR"  # calls the name before it
CODE = {
    "os.system": opcodes(("os", "system"), body=CALL),
    "posix.system": opcodes(("posix", "system"), body=CALL),
    "builtins.eval": opcodes(("__builtin__", "eval"), body=CALL),
    "builtins.getattr": opcodes(("builtins", "getattr"), body=b"(cos\n__dict__\n" + text("system") + b"tR"),
    "functools.partial": opcodes(("functools", "partial"), body=b"(cos\nsystem\n" + text("echo > {bomb}") + b"tR(tR"),
    "subprocess.Popen": opcodes(("subprocess", "Popen"), body=CALL),
    "torch.load": opcodes(("torch", "load"), body=CALL),
    "torch.hub.load": opcodes(("torch.hub", "load"), body=CALL),
    "torch.storage._load_from_bytes": opcodes(("torch.storage", "_load_from_bytes"), body=CALL),
    "torch.jit.load": opcodes(("torch.jit", "load"), body=CALL),
    "importlib.import_module": opcodes(("importlib", "import_module"), body=CALL),
    "numpy.load": opcodes(("numpy", "load"), body=CALL),
    "pathlib.PosixPath.unlink": opcodes(("pathlib", "PosixPath.unlink"), body=CALL),
    "builtins.bytearray": opcodes(("builtins", "bytearray"), body=b"(\x8a\x06\x00\x00\x00\x00\x00\x01tR"),  # 2 ** 40
    "torch.nn.modules.linear.Linear": opcodes(("torch.nn.modules.linear", "Linear"), body=b")\x81"),
    "voice.model.Voice": opcodes(("voice.model", "Voice"), body=b")\x81}b"),
}


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize("name", CODE)
def test_every_other_name_is_refused_and_reported(tmp_path, name, archive):
    data, path = CODE[name].replace(b"{bomb}", b"abcdef"), tmp_path / "a.pt"
    _ = in_archive(path, data) if archive else path.write_bytes(data)
    with pytest.raises(WeightsError, match="a pickle that contains code, and was not opened") as caught:
        weights.read_checkpoint(path)
    assert f"it names {name.replace('posix.', 'os.')}" in caught.value.message.replace("posix.", "os.")
    assert "safetensors" in caught.value.hint


class Reduced:
    def __init__(self, function, *arguments):
        self.recipe = function, arguments

    def __reduce__(self):
        return self.recipe


class State:
    def __reduce__(self):
        return argparse.Namespace, (), {"x": Reduced(os.system, "true")}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(
    "thing",
    [
        Reduced(builtins.eval, "1"), Reduced(functools.partial(os.system, "true")), State(),
        {"a": [({"b": Reduced(subprocess.run, "true")},)]}, np.array([Reduced(os.system, "true")], dtype=object),
        collections.OrderedDict(x=Reduced(os.popen, "true")), Reduced(pickle.loads, b"cos\nsystem\n."),
        Reduced(torch.load, io.BytesIO(b"")), Reduced(getattr, 1, "real"),
    ],
)  # fmt: skip
def test_code_inside_of_harmless_things_never_runs(tmp_path, monkeypatch, thing, protocol):
    path = tmp_path / "a.pt"
    torch.save({"w": torch.ones(1), "x": thing}, path, pickle_protocol=protocol)
    for module, name in ((os, "system"), (os, "popen"), (subprocess, "run"), (pickle, "loads")):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("it ran"))
    with pytest.raises(WeightsError, match="contains code"):
        weights.read_checkpoint(path)


def test_a_newer_pickle_protocol_is_refused_by_its_number(tmp_path):
    torch.save({"w": torch.ones(1), "path": pathlib.PosixPath("/a")}, tmp_path / "a.pt", pickle_protocol=4)
    with pytest.raises(WeightsError, match="a pickle of protocol 4"):
        weights.read_checkpoint(tmp_path / "a.pt")
