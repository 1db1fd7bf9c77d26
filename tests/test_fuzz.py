"""A short part of the broken inputs of ``nox -s fuzz``: each ends in a result or in one clear sentence."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing.inputs import MAKERS

EACH = 8  # inputs of each kind


@pytest.fixture(scope="module")
def found():
    """What the fuzzing prints. It runs in a fresh process: its limit of memory must not count what other tests hold."""
    words = [sys.executable, "-m", "fuzzing", "--count", str(EACH * len(MAKERS))]
    # the seconds are the sum of the limits of all inputs: a single input that hangs ends much earlier
    done = subprocess.run(
        words, cwd=Path(__file__).parent, env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20 * EACH * len(MAKERS), check=False,
    )  # fmt: skip
    assert "inputs ended wrongly" in done.stdout, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", [maker.__name__ for maker in MAKERS])
def test_a_broken_input_ends_in_a_result_or_in_one_clear_sentence(kind, found):
    wrong = re.findall(rf"^{kind}:\d+ .*(?:\n .*)*", found, re.MULTILINE)
    assert not wrong, "\n".join(wrong)
    counts = re.search(rf"^{kind} +(.*)$", found, re.MULTILINE)
    assert counts and sum(map(int, re.findall(r"\d+", counts[1]))) == EACH
