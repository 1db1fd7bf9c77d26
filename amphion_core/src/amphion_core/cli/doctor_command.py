"""Check this installation: versions, plugins, optional packages, and what the machine can do."""

import argparse
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from amphion_core import cards, registry

OPTIONAL = {
    "onnx": 'pip install "amphion-core[onnx]"',
    "accelerate": 'pip install "amphion-core[train]"',
    "tensorboard": 'pip install "amphion-core[train]"',
    "pyworld": 'pip install "amphion-core[f0]"',
    "phonemizer": 'pip install "amphion-tts[espeak]"',
    "espeakng_loader": 'pip install "amphion-tts[espeak]"',
    "faster_whisper": 'pip install "amphion-eval[asr]"',
}
"""Packages that are optional, and the command that brings each."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion doctor``."""
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line a finding; exit code 1 when something installed does not work."""
    for line in _machine():
        print(f"  {line}")
    problems = [*_plugins(), *cards.notes()]
    for name, command in OPTIONAL.items():
        state = "installed" if importlib.util.find_spec(name) else f"not installed; {command}"
        print(f"  {name}: {state}")
    from amphion_core.hooks import manager

    for lines in manager().hook.amphion_doctor():
        for line in lines:
            print(f"  {line}")
    for problem in problems:
        print(f"problem: {problem}")
    print(f"{len(problems)} problems" if problems else "all well")
    return 1 if problems else 0


def _machine() -> Iterator[str]:
    import torch

    from amphion_core.precision import bf16_is_fast

    yield f"Python {sys.version.split()[0]} on {platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    fast = "faster than float32" if bf16_is_fast(torch.device("cpu")) else "not faster than float32"
    yield f"torch {torch.__version__}, {torch.get_num_threads()} threads, {device}; bfloat16 on this CPU: {fast}"
    for package in ("numpy", "pydantic", "soundfile", "transformers", "torchaudio"):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"{package}: not installed"
    offline = os.environ.get("HF_HUB_OFFLINE")
    yield f"model hub: {'offline (HF_HUB_OFFLINE)' if offline else 'asked only when you name hub weights'}"


def _plugins() -> Iterator[str]:
    """What is wrong with installed plugins, told without importing any; a line for each healthy one is printed."""
    seen: dict[str, int] = {}
    for kind in registry.BASES:
        for ref in registry.refs(kind):
            seen[f"{ref.dist} {ref.version}"] = seen.get(f"{ref.dist} {ref.version}", 0) + 1
            if ref.status != "ok":
                yield f"{ref.kind[:-1]} {ref.name} from {ref.dist} {ref.version} {ref.status}"
    for dist, count in sorted(seen.items()):
        print(f"  {dist}: {count} components")
