"""What the core's tests share."""

import sys
import types

import numpy as np
import pytest
import torch

from amphion_core import registry
from amphion_core.registry import ComponentRef


@pytest.fixture
def installed():
    """Installs classes under registry names for one test: ``installed("models", **{"toy/line": Line})``.

    They are announced as attributes of the module ``amphion_toys``, or of ``module``.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    contexts, modules = [], set()

    def install(kind, module="amphion_toys", **classes):
        refs = []
        for name, component in classes.items():
            found = sys.modules.setdefault(module, types.ModuleType(module))
            modules.add(module)
            setattr(found, component.__qualname__.rpartition(".")[2], component)
            if module == "amphion_toys":
                component.__module__ = module
                component.__qualname__ = component.__name__
            target = f"{module}:{component.__name__}"
            refs.append(ComponentRef(kind, name, target, "amphion-core", "0.1.0", "", "amphion_core.api:v1"))
        contexts.append(registry.temporary(*refs))
        contexts[-1].__enter__()

    yield install
    for context in reversed(contexts):
        context.__exit__(None, None, None)
    for module in modules:
        del sys.modules[module]
    torch.set_num_threads(threads)


@pytest.fixture
def noises(prepared):
    """A prepared folder of twelve short noises at 16 kHz, two of which are the dev split."""
    random = np.random.default_rng(0)
    clips = {f"c{n}": random.uniform(-0.5, 0.5, 1600 + 160 * n).astype(np.float32) for n in range(12)}
    return prepared({"train": clips, "dev": {"d": clips["c0"], "e": clips["c1"]}})
