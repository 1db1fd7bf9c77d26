"""Checkpoints that torch has pickled, read without importing or running anything that they name.

A pickle names the functions and classes that build its objects. Three kinds of names are accepted: those that torch
accepts with ``weights_only=True``, and names of harmless types, which real training checkpoints hold beside their
tensors. For the latter, ``STAND_INS`` has a small function or class of ours; the named type itself is never imported.
Every other name is refused before the file is opened by torch.
"""

import pickletools
import re
import threading
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from amphion_core.errors import WeightsError

DEEPEST = 100  # containers inside one another; real checkpoints have about 10
EXPANSION = 20  # a compressed archive may grow by this factor; torch itself does not compress
SPARE = 1 << 20  # bytes, so that the factor does not matter for tiny files
SHOWN = 3  # an error names at most so many refused names


def load(path: Path) -> Any:
    """What a file of ``torch.save`` holds, as plain dicts, lists, tuples, numbers, text and tensors on the CPU.

    Objects of harmless types become text (paths), numbers (numpy scalars), tensors (numpy arrays), dicts (objects that
    are only fields) or None. Raises WeightsError: the pickle names something else, its contents are nested too deeply,
    or the archive would expand beyond any checkpoint. Raises other exceptions for a damaged file.
    """
    with path.open("rb") as file:
        contents = _in_archive(path) if zipfile.is_zipfile(file) else _in_stream(file)
    _refuse(path, contents)
    with _one_at_a_time, torch.serialization.safe_globals(_SAFE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about newer pickle protocols, and reads or refuses them
        try:
            with path.open("rb") as file:  # torch would look at the ending of a path
                found = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            if "Invalid magic number" in str(error):  # torch's word for a pickle that it did not write
                raise WeightsError(f"{path} is a pickle that torch.save did not write", hint=_SAFE_FORMAT) from error
            if contents.protocol > 2:
                raise WeightsError(
                    f"{path} is a pickle of protocol {contents.protocol}, but torch opens only protocol 2 without risk",
                    hint=_SAFE_FORMAT,
                ) from error
            if "eights only load failed" in str(error):  # torch goes on with the advice to load it without safety
                raise WeightsError(
                    f"{path} is damaged, or a pickle that torch does not open without risk", hint=_SAFE_FORMAT
                ) from error
            raise
    return _plain(found, {}, 0, path)


@dataclass(slots=True)
class _Contents:
    """What a pickle uses: the names of functions and classes, text codecs that are slow, the newest protocol."""

    names: set[str] = field(default_factory=set)
    codecs: set[str] = field(default_factory=set)
    protocol: int = 0


def _refuse(path: Path, contents: _Contents) -> None:
    unknown = sorted(name for name in contents.names if name not in STAND_INS and not _TORCH.fullmatch(name))
    if unknown:
        shown = ", ".join(unknown[:SHOWN]) + (", ..." if len(unknown) > SHOWN else "")
        raise WeightsError(
            f"{path} is a pickle that contains code, and was not opened: it names {shown}",
            hint=_SAFE_FORMAT,
        )
    if "_codecs.encode" in contents.names and contents.codecs:
        raise WeightsError(f"{path} is no checkpoint: its pickle encodes text in an unusual way", hint=_AGAIN)


_SAFE_FORMAT = "ask its publisher for a safetensors file, or for torch.save(network.state_dict())"
_AGAIN = "download it from its publisher again"
_one_at_a_time = threading.Lock()  # torch keeps the accepted names in one list for all threads
_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the first pickle of torch's format without archive
_SLOW_CODECS = {"punycode", "idna"}  # they take minutes for a few kilobytes; pickles of torch use latin1 alone
_TORCH = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode|builtins\.(set|complex)"
    r"|torch\.(Size|device|Tensor|nn\.parameter\.Parameter|serialization\._get_layout)"
    r"|torch\._utils\._rebuild_(parameter|parameter_with_state|tensor|tensor_v2|tensor_v3|qtensor|sparse_tensor"
    r"|meta_tensor_no_storage)|torch\._tensor\._rebuild_from_type_v2"
    r"|torch\.(cuda\.)?[A-Z][A-Za-z0-9]*Storage|torch\.storage\.(Typed|Untyped)Storage"
    r"|torch\.(float|bfloat|complex|q?u?int|bits|bool)[0-9a-z_]*|torch\.per_(tensor|channel)_[a-z_]+"
)


def _in_archive(path: Path) -> _Contents:
    """What ``_read`` finds in a zip archive. Raises WeightsError for one that is no checkpoint."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > EXPANSION * path.stat().st_size + SPARE:
            raise WeightsError(f"{path} is no checkpoint: its archive would expand without bound", hint=_AGAIN)
        files = {entry.filename.partition("/")[2]: entry for entry in entries}
        if "constants.pkl" in files or any(name.startswith("code/") for name in files):
            raise WeightsError(
                f"{path} is a TorchScript program, which contains code, and was not opened",
                hint=_SAFE_FORMAT,
            )
        if "data.pkl" not in files:
            shown = ", ".join(entry.filename for entry in entries[:SHOWN]) or "nothing"
            raise WeightsError(
                f"{path} is a zip archive without a checkpoint of torch; it holds {shown}",
                hint="unpack it, and give the checkpoint file inside",
            )
        with archive.open(files["data.pkl"]) as file:
            return _read(file, _Contents())


def _in_stream(file: BufferedReader) -> _Contents:
    """What ``_read`` finds in a file without archive: torch once wrote five pickles, then the tensors' bytes."""
    file.seek(0)
    contents = _read(file, _Contents())
    if file.tell() == len(_MAGIC) and file.seek(0) == 0 and file.read(len(_MAGIC)) == _MAGIC:
        for _ in range(4):
            _read(file, contents)
    return contents


def _read(file: IO[bytes], contents: _Contents) -> _Contents:
    """Add to ``contents`` what one pickle uses. It is read and not executed."""
    recent = ["", ""]
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in ("GLOBAL", "INST"):
            contents.names.add(_present_name(*str(argument).split(" ", 1)))
        elif opcode.name == "STACK_GLOBAL":
            contents.names.add(_present_name(*recent))
        elif opcode.name == "PROTO" and isinstance(argument, int):
            contents.protocol = max(contents.protocol, argument)
        elif isinstance(argument, str):
            recent = [recent[1], argument]
            contents.codecs |= {re.sub(r"[^a-z0-9]", "", argument.lower())} & _SLOW_CODECS
    return contents


def _present_name(module: str, name: str) -> str:
    """``module.name`` as Python 3 calls it; protocol 2 writes the names of Python 2."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"


# The stand-ins. None of them imports, opens or calls anything that the file names.


def _posix_path(*parts: str) -> str:
    return str(PurePosixPath(*parts))


def _windows_path(*parts: str) -> str:
    return str(PureWindowsPath(*parts))


def _dict(*_: Any) -> OrderedDict[Any, Any]:
    return OrderedDict()


def _list(*_: Any) -> list[Any]:
    return []


class _Dict:
    """For subclasses of dict: the object that the pickle fills is a plain ordered dict."""

    def __new__(cls, *_: Any) -> Any:
        return OrderedDict()


class _Fields(OrderedDict[str, Any]):
    """For objects that are only named fields."""

    def __new__(cls, *_: Any) -> "_Fields":
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            OrderedDict.update(self, state)


class _Ignored:
    """For values that no network needs: dates, classes that are only mentioned. It becomes None."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _DType:
    """For ``numpy.dtype``: its code and byte order."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "=", "|"):
            self.order = state[1]

    def read(self, raw: Any) -> "np.ndarray[Any, Any] | None":
        """The numbers in ``raw``, (N,); None unless they are bytes of plain numbers."""
        if not isinstance(raw, bytes) or not isinstance(self.code, str):
            return None
        if not re.fullmatch(r"b1|[iu][1248]|f[248]|c8|c16", self.code):
            return None
        kind = np.dtype(self.order + self.code)
        values = np.frombuffer(raw, kind) if len(raw) % kind.itemsize == 0 else None
        return None if values is None else values.astype(kind.newbyteorder("="))


class _Array:
    """For ``numpy.ndarray``; arrays of objects become None."""

    tensor: Tensor | None = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _DType):
            return
        _, shape, kind, fortran, raw = state
        values = kind.read(raw)
        if values is not None and isinstance(shape, tuple):
            values = values.reshape(shape, order="F" if fortran is True else "C")
            self.tensor = torch.from_numpy(np.ascontiguousarray(values).reshape(shape))


def _array(*_: Any) -> _Array:
    return _Array()


def _scalar(kind: Any, raw: Any = None) -> Any:
    values = kind.read(raw) if isinstance(kind, _DType) else None
    return values[0].item() if values is not None and values.size == 1 else None


def _table() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The accepted names beside torch's, with what stands for them."""

    def each(prefix: str, names: str, stand_in: Callable[..., Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
        return ((f"{prefix}.{name}", stand_in) for name in names.split())

    for module in ("pathlib", "pathlib._local"):
        yield from each(module, "Path PurePath PosixPath PurePosixPath", _posix_path)
        yield from each(module, "WindowsPath PureWindowsPath", _windows_path)
    yield from each("collections", "defaultdict", _dict)
    yield from each("collections", "deque", _list)
    yield from each("builtins", "object dict list tuple frozenset str int float bool bytes slice range", _Ignored)
    yield from each("argparse", "Namespace", _Fields)
    yield from each("types", "SimpleNamespace", _Fields)
    yield from each("datetime", "datetime date time timedelta timezone", _Ignored)
    yield from (("decimal.Decimal", _Ignored), ("fractions.Fraction", _Ignored), ("uuid.UUID", _Ignored))
    yield from (("enum.Enum", _Ignored), ("typing.Any", _Ignored), ("numpy.dtype", _DType), ("numpy.ndarray", _Array))
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        yield from ((f"{module}.scalar", _scalar), (f"{module}._reconstruct", _array))
    numbers = "bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 intc longlong"
    yield from each("numpy", numbers, _Ignored)
    # PyTorch Lightning: hyper-parameters, and the callbacks whose names it stores
    for module in ("pytorch_lightning.utilities.parsing", "lightning.pytorch.utilities.parsing"):
        yield from each(module, "AttributeDict", _Dict)
    for module in ("lightning_fabric.utilities.data", "lightning.fabric.utilities.data"):
        yield from each(module, "AttributeDict", _Dict)
    for module in ("pytorch_lightning.callbacks", "lightning.pytorch.callbacks"):
        yield from each(f"{module}.model_checkpoint", "ModelCheckpoint", _Ignored)
        yield from each(f"{module}.early_stopping", "EarlyStopping", _Ignored)
    # Containers of OmegaConf, and of programs that publish speech models
    yield from (("omegaconf.dictconfig.DictConfig", _Fields), ("omegaconf.listconfig.ListConfig", _Fields))
    yield from each("omegaconf.base", "ContainerMetadata Metadata", _Fields)
    nodes = "AnyNode StringNode IntegerNode FloatNode BooleanNode BytesNode PathNode EnumNode"
    yield from each("omegaconf.nodes", nodes, _Fields)
    yield from (("env.AttrDict", _Dict), ("utils.AttrDict", _Dict), ("utils.HParams", _Fields))
    yield from (("TTS.utils.io.AttrDict", _Dict), ("TTS.utils.generic_utils.AttrDict", _Dict))


STAND_INS: dict[str, Callable[..., Any]] = dict(_table())
_SAFE: list[Any] = [(stand_in, name) for name, stand_in in STAND_INS.items()]


def _plain(value: Any, seen: dict[int, Any], depth: int, path: Path) -> Any:
    """``value`` without our stand-ins and without attributes that the pickle set on tensors or dicts."""
    if isinstance(value, Tensor):
        return Tensor.detach(value)
    if isinstance(value, _Array):
        return value.tensor
    if not isinstance(value, dict | list | tuple | set):
        return value if isinstance(value, str | bytes | int | float | complex | torch.dtype | torch.device) else None
    if id(value) in seen:
        return seen[id(value)]
    if depth > DEEPEST:
        raise WeightsError(f"{path} is no checkpoint: its contents are nested {DEEPEST} deep", hint=_AGAIN)
    if isinstance(value, dict):
        named = seen[id(value)] = {}
        for key, item in dict.items(value):
            named[_plain(key, seen, depth + 1, path)] = _plain(item, seen, depth + 1, path)
        return named
    if isinstance(value, list):
        row = seen[id(value)] = []
        row.extend(_plain(item, seen, depth + 1, path) for item in value)
        return row
    kind = set if isinstance(value, set) else tuple
    made = seen[id(value)] = kind(_plain(item, seen, depth + 1, path) for item in value)
    return made
