"""Writes a network as an ONNX file that describes itself, and compares onnxruntime's results with the network's."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amphion_core.errors import MissingPackage, WeightsError, first_line
from amphion_core.extras import pip_command
from amphion_core.families import ModelArchitecture
from amphion_core.files import atomic_write
from amphion_core.modules.folding import fold_weight_norms
from amphion_core.onnx_graph import OnnxGraph

TOLERANCE = 1e-4  # largest difference of any output number between onnxruntime and PyTorch
KEY = "amphion"  # of the description among the file's metadata
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """An ONNX file that was written and compared.

    ``differences`` are the largest differences of any output number between onnxruntime and PyTorch, by the length of
    the text or mel.
    """

    path: Path
    opset: int
    size: int  # bytes
    differences: dict[int, float]
    description: dict[str, Any]


def export(net: ModelArchitecture, path: str | Path, *, about: Mapping[str, Any] | None = None) -> ExportedFile:
    """Write ``net`` as the ONNX file ``path``, whole or not at all. The network is changed: see `prepare`.

    ``about`` is added to the description that the file contains, such as the licence. Raises MissingPackage, DataError
    for a network without a graph, and WeightsError where the graph cannot be recorded or onnxruntime gives other
    results. Then an existing file at ``path`` stays as it is.
    """
    check_packages()
    graph = net.onnx_graph()
    prepare(net)
    description = describe(net, graph) | dict(about or {})
    with atomic_write(path) as temporary:
        opset = _write(graph, temporary, description, type(net).__name__)
        differences = {length: difference(graph, temporary, length) for length in graph.lengths}
        if not max(differences.values()) <= TOLERANCE:
            found = ", ".join(f"{value:.2g} at length {length}" for length, value in differences.items())
            raise WeightsError(
                f"the exported graph does not give the results of the network: largest difference {found}, allowed is "
                f"{TOLERANCE:g}",
                hint="pip install --upgrade onnxscript onnxruntime, then export again",
            )
        size = temporary.stat().st_size
    return ExportedFile(Path(path), opset, size, differences, description)


def check_packages() -> None:
    """Raise MissingPackage unless all packages for the export are installed."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingPackage(
            f"the export needs {' and '.join(missing)}", hint=pip_command("amphion-core", list(PACKAGES))
        )


def prepare(net: ModelArchitecture) -> None:
    """Eval mode on the CPU, no gradients, weight norms folded. Unlike ``for_inference``, weights are not reordered."""
    net.cpu().eval().requires_grad_(False)
    fold_weight_norms(net)


def describe(net: ModelArchitecture, graph: OnnxGraph) -> dict[str, Any]:
    """What a program must know to use the file: rates, mel convention, symbols, speakers, inputs and outputs.

    Everything in it can be written as JSON.
    """
    config = net.config.model_dump(mode="json")
    described: dict[str, Any] = {"written_by": f"amphion-core {version('amphion-core')}, torch {torch.__version__}"}
    if mel := config.get("mel"):
        described |= {"sample_rate": mel["sample_rate"], "hop_length": mel["hop_length"], "mel": mel}
    elif rate := getattr(net, "sample_rate", None):
        described["sample_rate"] = rate
    if frontend := getattr(net.config, "frontend", None):
        described["frontend"] = {"name": frontend.name, **frontend.config.model_dump(mode="json")}
    if speakers := config.get("speakers"):
        described["speakers"] = speakers
    described["inputs"] = {name: graph.described.get(name, "") for name in graph.inputs(graph.lengths[0])}
    described["outputs"] = {name: graph.described.get(name, "") for name in graph.outputs}
    return described


def difference(graph: OnnxGraph, path: Path, length: int) -> float:
    """The largest difference of any output number between the file and the module; infinite where shapes differ."""
    inputs = graph.inputs(length)
    with torch.no_grad():
        expected = graph.module(**inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = run(path, {name: value.numpy() for name, value in inputs.items()})
    worst = 0.0
    for name, wanted in zip(graph.outputs, expected, strict=True):
        given, own = found[name].astype(np.float64), wanted.numpy().astype(np.float64)
        if given.shape != own.shape or not np.isfinite(given).all():
            return float("inf")
        worst = max(worst, float(np.abs(given - own).max(initial=0)))
    return worst


def run(path: Path, inputs: Mapping[str, Any], *, threads: int = 0) -> dict[str, Any]:
    """The outputs of an ONNX file by their names, on the CPU. Threads 0: as many as onnxruntime chooses."""
    session = open_session(path, threads=threads)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def open_session(path: Path, *, threads: int = 0) -> Any:
    """A session of onnxruntime on the CPU. Raises MissingPackage, and WeightsError for a file that it cannot read."""
    if find_spec("onnxruntime") is None:
        raise MissingPackage(
            "running an ONNX file needs onnxruntime", hint=pip_command("amphion-core", ["onnxruntime"])
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the classes of onnxruntime's errors have no common base of their own
        raise WeightsError(f"onnxruntime cannot read {path}: {first_line(error)}") from error


def _write(graph: OnnxGraph, path: Path, description: Mapping[str, Any], name: str) -> int:
    """Record the module, write the file, and return its opset."""
    inputs = graph.inputs(graph.lengths[0])
    with torch.no_grad(), _quiet():
        graph.module(**inputs)  # what a module computes once and keeps must not be made while it is recorded
        try:
            recorded = torch.export.export(
                graph.module, (), inputs, dynamic_shapes=_dynamic_shapes(graph), strict=False
            )
            program: Any = torch.onnx.export(
                recorded, input_names=list(inputs), output_names=list(graph.outputs), dynamic_shapes=_names(graph),
                dynamo=True, verbose=False,
            )  # fmt: skip
        except Exception as error:  # torch documents no classes of errors for this
            reason = first_line(error.__cause__ if isinstance(error.__cause__, Exception) else error)
            raise WeightsError(
                f"{name} cannot be exported: PyTorch cannot record its graph: {reason}",
                hint="amphion export ... --debug shows where; docs/export.md says what a model must avoid",
            ) from error
    for output in program.model.graph.outputs:
        for axis, label in ((graph.output_axes or {}).get(output.name) or {}).items():
            output.shape[axis] = label
    program.model.metadata_props[KEY] = json.dumps(description, ensure_ascii=False)
    program.model.producer_name, program.model.producer_version = "amphion-core", version("amphion-core")
    program.save(str(path), external_data=False)
    return int(program.model.opset_imports[""])


def _dynamic_shapes(graph: OnnxGraph) -> dict[str, dict[int, Any] | None]:
    """The axes that may vary, as ``torch.export`` takes them."""
    sizes: dict[str, Any] = {}

    def size(label: str) -> Any:
        factor, _, name = label.rpartition("*")
        if name not in sizes:
            sizes[name] = torch.export.Dim(name, min=(graph.shortest or {}).get(name, 1))
        return int(factor) * sizes[name] if factor else sizes[name]

    names = graph.inputs(graph.lengths[0])
    return {name: {axis: size(label) for axis, label in graph.axes.get(name, {}).items()} or None for name in names}


def _names(graph: OnnxGraph) -> dict[str, dict[int, str] | None]:
    """The names of the axes that may vary, without those that are multiples of others."""
    own = {name: {axis: label for axis, label in axes.items() if "*" not in label} for name, axes in graph.axes.items()}
    return {name: own.get(name) or None for name in graph.inputs(graph.lengths[0])}


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warnings and log lines of the exporter, which concern its own developers."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
