"""Check this installation: versions, plugins, optional packages, and what the machine can do."""

import argparse
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from amphion_core import cards, registry, weights_cache
from amphion_core.errors import counted
from amphion_core.extras import pip_command

OPTIONAL = {
    "onnx": 'pip install "amphion-core[onnx]"',
    "accelerate": 'pip install "amphion-core[train]"',
    "tensorboard": 'pip install "amphion-core[train]"',
    "pyworld": 'pip install "amphion-core[f0]"',
    "phonemizer": 'pip install "amphion-tts[espeak]"',
    "espeakng_loader": 'pip install "amphion-tts[espeak]"',
    "faster_whisper": 'pip install "amphion-eval[asr]"',
}
"""Optional packages, each with the command that installs it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion doctor``."""
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line for each finding. The exit code is 1 when something installed does not work."""
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
    print(counted(len(problems), "problem") if problems else "all well")
    return 1 if problems else 0


def _machine() -> Iterator[str]:
    import torch

    from amphion_core.devices import available_devices
    from amphion_core.precision import bf16_is_fast

    yield f"Python {sys.version.split()[0]} on {platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"
    devices = ", ".join(_device_line(name) for name in available_devices()[1:]) or "no GPU"
    fast = "faster than float32" if bf16_is_fast(torch.device("cpu")) else "not faster than float32"
    threads = counted(torch.get_num_threads(), "thread")
    yield f"torch {torch.__version__}, {threads}, {devices}; bfloat16 on this CPU: {fast}"
    for package in ("numpy", "pydantic", "soundfile", "transformers", "torchaudio"):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"{package}: not installed"
    offline = os.environ.get("HF_HUB_OFFLINE")
    yield f"cache of converted weights: {weights_cache.described()}"
    yield f"model hub: {'offline (HF_HUB_OFFLINE)' if offline else 'used only when you name weights on a hub'}"


def _device_line(name: str) -> str:
    """A GPU with the name of its maker, where torch knows it: ``cuda:0 (NVIDIA H100)``."""
    import torch

    return f"{name} ({torch.cuda.get_device_name(name)})" if name.startswith("cuda") else name


def _plugins() -> Iterator[str]:
    """The problems of installed plugins, found without importing any. Prints one line for each distribution."""
    components: dict[str, int] = {}
    for kind in registry.BASES:
        for ref in registry.refs(kind):
            components[f"{ref.dist} {ref.version}"] = components.get(f"{ref.dist} {ref.version}", 0) + 1
            if ref.missing:
                print(f"  {ref.kind[:-1]} {ref.name} {ref.status}; {pip_command(ref.dist, ref.missing)}")
            elif ref.status != "ok":
                yield f"{ref.kind[:-1]} {ref.name} from {ref.dist} {ref.version} {ref.status}"
    found = {dist: [counted(count, "component")] for dist, count in components.items()}
    for dist, count in _cards().items():  # a distribution may have weights only
        found.setdefault(dist, []).append(counted(count, "card"))
    for dist, counts in sorted(found.items()):
        print(f"  {dist}: {', '.join(counts)}")


def _cards() -> dict[str, int]:
    """The number of cards of each distribution that has any. Those that cannot be read count as none."""
    found: dict[str, int] = {}
    for ref in registry.refs("pretrained"):
        count = 0
        with suppress(Exception):  # code of others; cards.notes() has the reason
            count = len(ref.load())
        found[f"{ref.dist} {ref.version}"] = found.get(f"{ref.dist} {ref.version}", 0) + count
    return found
