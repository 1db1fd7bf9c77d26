"""Lists and help texts start quickly: what they import, in a new process."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "pydantic", "transformers", "soundfile", "librosa")


def imported(code: str) -> list[str]:
    show = f"print([name for name in {HEAVY} if name in sys.modules], file=sys.__stdout__)"
    code = f"import sys, io, contextlib\n{code}\n{show}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["list", "--pretrained"],
        ["list", "models", "vocoder/*", "--json"],
        ["--help"],
        ["--version"],
        ["recipes"],
    ],
)
def test_lists_and_help_import_nothing_heavy(words):
    code = f"""
from amphion_core.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main({words})
"""
    if words == ["recipes"]:  # checks recipes, so it needs the config classes
        assert "torch" not in imported(code)
    else:
        assert imported(code) == "[]"


def test_the_package_alone_imports_the_standard_library_only():
    assert imported("import amphion_core") == "[]"


def test_a_dataset_plugin_does_not_load_torch():
    assert imported("from amphion_core.api import BaseConfig, Dataset, Utterance, Card") == "['pydantic']"


def test_torchaudio_and_transformers_load_beside_a_cpu_torch():
    code = "import amphion_core, torchaudio; from transformers import VitsModel; print('both')"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "both", done.stderr[-500:]
