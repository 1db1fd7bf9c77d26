"""Installing only what one needs: core and vocoders without the others, from metadata alone."""

import os
import subprocess
import sys
from importlib.metadata import distribution

import pytest

FILTER = """
import importlib.metadata, re, sys
real = importlib.metadata.distributions
hidden = {hidden}
def distributions(**kwargs):
    return (d for d in real(**kwargs) if re.sub(r"[-_.]+", "-", d.metadata["Name"] or "").lower() not in hidden)
importlib.metadata.distributions = distributions
from amphion_core.cli.main import main
sys.exit(main({words}))
"""
OTHERS = ["amphion-tts", "amphion-svc", "amphion-tta", "amphion-eval"]


def amphion(*words, hidden):
    code = FILTER.format(hidden=hidden, words=list(words))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))


def test_the_list_shows_what_is_installed_and_nothing_else():
    listed = amphion("list", hidden=OTHERS).stdout
    assert "vocoder/hifigan" in listed and "\tmel\t" in listed
    assert "\ttts/" not in listed and "\twer\t" not in listed


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["info", "tts/vits"], "pip install amphion-tts"),
        (["tts", "Hello."], "pip install amphion-tts"),
        (["eval", "folder"], "pip install amphion-eval"),
        (["info", "svc/anything"], "pip install amphion-svc"),
        (["tta", "wind"], "pip install amphion-tta"),
    ],
)
def test_what_is_missing_is_an_error_with_the_command_that_installs_it(words, hint):
    done = amphion(*words, hidden=OTHERS)
    assert done.returncode == 2
    assert f"hint: {hint}" in done.stderr


@pytest.mark.parametrize("recipe", ["fastspeech2_small", "vits_small"])
def test_a_voice_whose_metrics_are_not_installed_is_refused_with_what_trains_it(recipe):
    done = amphion("train", recipe, "data.root=nothing", hidden=["amphion-eval"])
    assert done.returncode == 2
    assert "trainer.metrics.0: no metric named 'wer' is installed; pip install amphion-eval" in done.stderr
    assert "hint: to train without metrics: trainer.metrics=[]" in done.stderr
    if recipe == "fastspeech2_small":
        done = amphion("train", recipe, "data.root=nothing", "trainer.metrics=[]", hidden=["amphion-eval"])
        assert "error: " in done.stderr and "nothing is not a prepared folder" in done.stderr


@pytest.mark.parametrize(
    ("dist", "others"),
    [("amphion-core", set()), ("amphion-vocoders", {"amphion-core"}), ("amphion-eval", {"amphion-core"}),
     ("amphion-tts", {"amphion-core", "amphion-vocoders"}), ("amphion-svc", {"amphion-core", "amphion-vocoders"}),
     ("amphion-tta", {"amphion-core", "amphion-vocoders"})],
)  # fmt: skip
def test_a_distribution_requires_only_the_ones_it_says(dist, others):
    plain = [line for line in distribution(dist).requires or () if "extra ==" not in line]
    assert {line.partition(">")[0].partition("<")[0].strip() for line in plain if line.startswith("amphion")} == others
