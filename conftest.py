"""Fixtures of all tests. ``amphion_core`` is imported first, because it guards torchaudio for transformers."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

import amphion_core  # noqa: F401

SHARED = Path(os.environ.get("AMPHION_SHARED") or Path(__file__).resolve().parent.parent / "shared")
CHROMIUM_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync",
    "--mute-audio", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
]  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """One thread a worker: results do not depend on how many workers there are. Tests leave the user's cache alone.

    No test cuts the power, so none waits until its files are on the disk.
    """
    os.fsync = lambda descriptor: None
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["AMPHION_CACHE"] = "off"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def data_pack() -> Path:
    """The folder of real recordings."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"data pack not found under {SHARED.name}/data; set AMPHION_SHARED to the folder above")
    return SHARED / "data"


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of small inputs that once failed."""
    if not (SHARED / "cases").is_dir():
        pytest.skip(f"cases not found under {SHARED.name}/cases; set AMPHION_SHARED to the folder above")
    return SHARED / "cases"


@pytest.fixture(scope="session")
def weights_pack() -> Path:
    """The folder of small trained networks."""
    if not (SHARED / "weights").is_dir():
        pytest.skip(f"weights not found under {SHARED.name}/weights; set AMPHION_SHARED to the folder above")
    return SHARED / "weights"


@pytest.fixture(scope="session")
def golden():
    """Reads a case of reference numbers: ``golden("vits_small")["outputs"]``."""
    path = SHARED / "golden" / "load.py"
    if not path.is_file():
        pytest.skip(f"reference numbers not found under {SHARED.name}/golden; set AMPHION_SHARED to the folder above")
    spec = importlib.util.spec_from_file_location("golden_load", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load


@pytest.fixture(scope="session")
def published_layout():
    """The tensors of a published checkpoint as {name: shape}: ``published_layout("hifigan_v1")``."""

    def read(name: str) -> dict[str, tuple[int, ...]]:
        path = SHARED / "golden" / "layouts" / f"{name}.txt"
        if not path.is_file():
            pytest.skip(f"layouts not found under {SHARED.name}/golden; set AMPHION_SHARED to the folder above")
        lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
        return {name: tuple(int(size) for size in shape.split(",") if size != "-") for name, shape in lines}

    return read


@pytest.fixture
def prepared(tmp_path):
    """Writes a prepared folder of waves: ``prepared({"train": {"a": samples, ...}, "dev": {...}}, rate=16000)``.

    Other fields of the utterances are given by id: ``speaker={"a": "tom"}, text={"a": "hello"}``.
    """
    import soundfile

    from amphion_core import yaml
    from amphion_core.component import Utterance
    from amphion_core.data.manifest import Record

    def write(splits, rate=16000, name="prepared", **fields):
        folder = tmp_path / name
        folder.mkdir()
        for split, clips in splits.items():
            lines = []
            for id, samples in clips.items():
                soundfile.write(folder / f"{id}.wav", samples, rate, subtype="FLOAT")
                known = {field: values[id] for field, values in fields.items() if id in values}
                utterance = Utterance(id, f"{id}.wav", len(samples) / rate, split=split, **known)
                lines.append(Record(utterance, rate, f"digest-{id}").line() + "\n")
            (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        (folder / "dataset.yaml").write_text(yaml.dump({"root": str(folder)}), encoding="utf-8")
        return folder

    return write


@pytest.fixture(scope="module")
def chromium_options():
    """Further options of Chromium; a file that needs some has a fixture of this name."""
    return []


@pytest.fixture(scope="module")
def browser(chromium_options):
    """Chromium. It serves one file: a playwright that is open keeps others from running an event loop."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=[*CHROMIUM_OPTIONS, *chromium_options])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def lively():
    """Makes the example network of a name with weights that are far from their first values: every layer matters."""
    import torch

    from amphion_core.registry import get

    def make(name, **changes):
        cls = get("models", name)
        torch.manual_seed(0)
        net = cls(cls.example_config().replace(**changes))
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        return net

    return make
