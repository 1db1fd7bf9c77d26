"""Weights on disk: our own folders, and checkpoints of others.

Our format is a folder: ``model.safetensors``, ``config.yaml`` (component, distribution, version, config) and
``card.md``. Checkpoints of others are read without running any code that they may hold.
"""

import hashlib
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from amphion_core import registry, yaml
from amphion_core.checkpoints import pickled
from amphion_core.checkpoints.file_kinds import AGAIN, kind_of
from amphion_core.checkpoints.folders import checkpoint_file, shards
from amphion_core.checkpoints.tensor_checks import check_values
from amphion_core.checkpoints.weight_names import check_keys, to_parametrized
from amphion_core.errors import MissingPackage, WeightsError, first_line
from amphion_core.families import ModelArchitecture
from amphion_core.files import not_written, write_safetensors


def save(net: ModelArchitecture, folder: str | Path, *, card: str = "", vocoder: str | None = None) -> Path:
    """Write a network as a weights folder, whole or not at all; ``card`` is the text of ``card.md``.

    ``vocoder`` names the vocoder of a model whose output is a mel, see `vocoding.own_vocoder`.
    Raises WeightsError if ``folder`` exists and is not empty, or cannot be written.
    """
    from importlib.metadata import version

    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WeightsError(f"{folder} exists already", hint="choose another folder, or remove it first")
    ref = registry.find("models", registry.name_of(type(net)))
    about = {"name": ref.name, "dist": ref.dist, "version": ref.version, "torch": version("torch")}
    about |= {"vocoder": vocoder} if vocoder else {}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
        scratch.mkdir()  # not tempfile: its folders are readable by their owner only
        try:
            write_safetensors(scratch / "model.safetensors", net.state_dict())
            stated = {**about, "config": net.config.model_dump(mode="json")}
            (scratch / "config.yaml").write_text(yaml.dump(stated), encoding="utf-8")
            (scratch / "card.md").write_text(card or f"# {ref.name}\n", encoding="utf-8")
            if folder.exists():
                folder.rmdir()
            scratch.replace(folder)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    except OSError as error:
        clear = not_written(error, folder)
        raise WeightsError(clear.message, hint=clear.hint) from error
    return folder


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The tensors of a checkpoint by name, nested as its publisher stored them.

    Reads safetensors, files that torch has pickled, ONNX, which needs ``amphion-core[onnx]``, the index of a checkpoint
    in several files, and a folder that holds one of these. The contents decide, not the file's ending. No code that a
    pickle may hold is run. Raises WeightsError for a file that is missing, damaged, unsafe or of another kind.
    """
    path = Path(path)
    try:
        path = checkpoint_file(path)
        kind = kind_of(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}", hint="check the path") from error
    if not kind.reader:
        raise WeightsError(f"{path} is {kind.what}", hint=kind.hint)
    try:
        found = _READERS[kind.reader](path)
    except (WeightsError, MissingPackage):
        raise
    except Exception as error:  # for damaged files, the libraries raise almost anything
        size = path.stat().st_size
        raise WeightsError(
            f"{path} ({size:,} bytes) is damaged or not a checkpoint: {first_line(error)}", hint=AGAIN
        ) from error
    if not isinstance(found, dict):
        what = "nothing" if found is None else f"a {type(found).__name__}"
        raise WeightsError(f"{path} holds {what}, not tensors by name", hint="give the publisher's file of weights")
    return found


def load_state(
    net: nn.Module, state: Mapping[str, Any], *, what: str, missing: Literal["error", "keep"] = "error"
) -> None:
    """Copy every tensor of ``state`` into ``net``; names and shapes must agree, weight norms may be folded.

    ``missing="keep"``: tensors of ``net`` that ``state`` lacks stay as they are. Raises WeightsError that names the
    keys that do not fit, also when ``state`` has no tensor of ``net`` at all, or the tensor whose values are not those
    of a network, such as NaN or whole numbers; ``what`` names the network.
    """
    current = net.state_dict()
    named = to_parametrized(state, current)  # a folder saved after for_inference has folded weight norms
    if missing == "keep" and any(name in current for name in named):
        named = {**current, **named}
    check_keys(named, {name: tuple(tensor.shape) for name, tensor in current.items()}, what)
    check_values(named, current, what)
    net.load_state_dict(named)


def state_digest(tensors: Mapping[str, Tensor]) -> str:
    """A hash of names and values, which identifies the weights of a module. Neither order nor device matters."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:24]


_QUANTISED = {"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "DequantizeLinear"}


def _onnx_tensors(path: Path) -> dict[str, Any]:
    """The weights of an ONNX graph by name.

    Exporters leave some constants without a name (``onnx::Conv_8168``). They are named after the layer that uses them:
    input 1 of ``/flow/flows.6/enc/in_layers.0/Conv`` is ``flow.flows.6.enc.in_layers.0.weight``.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingPackage(f"reading {path.name} needs onnx", hint='pip install "amphion-core[onnx]"') from error
    graph = onnx.load(str(path)).graph
    if any(node.op_type in _QUANTISED for node in graph.node):
        raise WeightsError(f"{path} holds quantised weights", hint="give the publisher's float32 file")
    tensors = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    if not tensors:
        raise WeightsError(f"{path} holds no weights", hint="give an ONNX file that has its weights inside")
    for node in graph.node:
        owner = ".".join(node.name.strip("/").split("/")[:-1])
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm"):
            continue
        for name, part in zip(node.input[1:], ("weight", "bias"), strict=False):
            if name.startswith("onnx::") and name in tensors and owner:
                tensors[f"{owner}.{part}"] = tensors.pop(name)
    return tensors


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _index(path: Path) -> dict[str, Any]:
    """The tensors of all files that an index lists, each of which must be there."""
    found: dict[str, Any] = {}
    for file, names in shards(path).items():
        part = read_checkpoint(file)
        if absent := [name for name in names if name not in part]:
            raise WeightsError(f"{file} has no tensor {absent[0]}, which {path.name} says it holds", hint=AGAIN)
        found |= {name: part[name] for name in names}
    return found


_READERS: dict[str, Callable[[Path], Any]] = {
    "safetensors": _safetensors,
    "torch": pickled.load,
    "onnx": _onnx_tensors,
    "index": _index,
}
