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
import resource
import struct
import subprocess
import types
import zipfile
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
import pytest
import torch

from amphion_core import weights
from amphion_core.checkpoints import tensor_checks
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


def reduced(module, name, *arguments):
    """Opcodes that call a name with arguments that are opcodes themselves."""
    return f"c{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def storage(numel, key="0", kind="FloatStorage"):
    number = b"J" + struct.pack("<i", numel) if numel < 2**31 else b"\x8a\x08" + struct.pack("<q", numel)
    return b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number + b"tQ"


def rebuilt(numel, *, stride=1, key="0"):
    size = b"\x8a\x08" + struct.pack("<q", numel) + b"\x85"
    stored = storage(10, key)
    return reduced(
        "torch._utils", "_rebuild_tensor_v2", stored, b"K\x00", size, b"K" + bytes([stride]) + b"\x85", b"\x89", b"N"
    )


TEN = [("data/0", b"\0" * 40)]


def named(opcode):
    return b"\x80\x02}" + text("w") + opcode + b"s."


NUMPY = text("f8") + b"\x89\x88"
BOMBS = {
    "a storage of 100 GB": (named(storage(25 * 10**9)), TEN),
    "a tensor beyond its storage": (named(rebuilt(10**10)), TEN),
    "a tensor that repeats one value": (named(rebuilt(10**10, stride=0)), TEN),
    "a tensor without its file": (named(rebuilt(10, key="7")), TEN),
    "a legacy tensor of 4 TB": (named(reduced("torch", "FloatTensor", b"\x8a\x08" + struct.pack("<q", 10**12))), ()),
    "a persistent id of text": (named(text("storage") + b"Q"), TEN),
    "a persistent id of a list": (named(b"]Q"), TEN),
    "a persistent id of another kind": (named(b"(" + text("file") + text("/etc/passwd") + b"tQ"), TEN),
    "a persistent id with a number for its type": (named(b"(" + text("storage") + b"K\x01K\x01K\x01K\x01tQ"), TEN),
    "a memo that is not there": (b"\x80\x02j\xff\xff\xff\xff.", ()),
    "text of 4 GB": (b"\x80\x02X\xff\xff\xff\xffabc.", ()),
    "an empty stack": (b"\x80\x02.", ()),
    "no end": (b"\x80\x02}", ()),
    "lists 10,000 deep": (b"\x80\x02}" + text("w") + b"]" * 10_000 + b"a" * 9_999 + b"s.", ()),
    "a call of what is no name": (b"\x80\x02" + text("os.system") + b")R.", ()),
    "a state for a class": (b"\x80\x02cargparse\nNamespace\n}b.", ()),
    "attributes of a class": (b"\x80\x02cargparse\nNamespace\nN}" + text("__setstate__") + b"K\x01s\x86b.", ()),
    "a slow codec": (named(reduced("_codecs", "encode", text("\u4e00" * 99), text("Puny-Code"))), ()),
    "a NumPy array of another shape": (
        named(
            reduced("numpy.core.multiarray", "_reconstruct")
            + b"(K\x01\x8a\x08" + struct.pack("<q", 10**12) + b"\x85" + reduced("numpy", "dtype", NUMPY) + b"\x89"
            + reduced("_codecs", "encode", text("12345678"), text("latin1")) + b"tb"
        ),
        (),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_forged_pickle_is_refused_without_filling_the_memory(tmp_path, name):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data, records = BOMBS[name]
    path = in_archive(tmp_path / "a.pt", data, records=records)
    with pytest.raises(WeightsError) as caught:
        tensor_checks.check_readable(weights.read_checkpoint(path), str(path))
    assert str(path) in caught.value.message and len(caught.value.message) < 500
    assert "weights_only" not in caught.value.message  # torch's advice is to load it without safety
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_doubled_tuples_are_read_once(tmp_path):
    doubled = b"]" + b"q\x00h\x00\x86" * 60  # 2 ** 60 paths to one list
    path = in_archive(tmp_path / "a.pt", b"\x80\x02}" + text("w") + doubled + b"s.")
    with pytest.raises(WeightsError, match="holds no tensors; it holds w"):
        tensor_checks.check_readable(weights.read_checkpoint(path), "a.pt")


def test_an_archive_that_expands_without_bound_is_refused(tmp_path):
    zeros = [("data/0", b"\0" * (64 << 20))]
    path = in_archive(tmp_path / "a.pt", named(storage(16 << 20)), records=zeros, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(WeightsError, match="would expand without bound"):
        weights.read_checkpoint(path)


def test_a_file_that_was_compressed_again_is_read(tmp_path):
    torch.save({"w": torch.arange(1000.0)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.namelist():
            new.writestr(entry, old.read(entry))
    assert weights.read_checkpoint(tmp_path / "b.pt")["w"].tolist() == list(range(1000))


def test_lists_that_hold_themselves_are_read(tmp_path):
    path = in_archive(tmp_path / "a.pt", b"\x80\x02}q\x00" + text("w") + b"]q\x01h\x01ah\x00as.")
    found = weights.read_checkpoint(path)
    assert found["w"][0] is found["w"] and found["w"][1] is found


def test_a_program_of_torch_script_is_named(tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1)), tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="is a TorchScript program"):
        weights.read_checkpoint(tmp_path / "a.pt")


def test_a_whole_network_is_refused_by_its_class(tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"it names torch\.nn\.modules\.linear\.Linear") as caught:
        weights.read_checkpoint(tmp_path / "a.pt")
    assert "network.state_dict()" in caught.value.hint


def test_attributes_that_a_pickle_sets_on_tensors_are_gone(tmp_path):
    tensor = torch.ones(2)
    tensor.numel = "forged"
    torch.save({"w": tensor}, tmp_path / "a.pt")
    assert weights.read_checkpoint(tmp_path / "a.pt")["w"].numel() == 2


def test_a_pickle_that_torch_did_not_write_is_named(tmp_path):
    path = tmp_path / "voice.pkl"
    path.write_bytes(pickle.dumps({"a": [1]}, protocol=2))
    with pytest.raises(WeightsError, match=r"voice.pkl is a pickle that torch.save did not write"):
        weights.read_checkpoint(path)
