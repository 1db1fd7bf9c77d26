"""Starts training runs quickly, for the kill test: imports once, then forks a process for every line of orders.

Reads JSON lines {"values": recipe, "run": folder} and answers each with the process id of a run that resumes there.
"""

import json
import os
import sys
import time
import traceback

import torch

torch.set_num_threads(1)

import amphion_core.training.run  # noqa: E402
import amphion_vocoders.trainers.gan_vocoder  # noqa: E402, F401
from amphion_core import recipe  # noqa: E402
from amphion_core.training import checkpoint  # noqa: E402

flush = checkpoint._flush


def slow_flush(path):
    """As on a slow disk, so that a good part of a run is spent inside of writing checkpoints."""
    time.sleep(0.02)
    flush(path)


def run(order):
    checkpoint._flush = slow_flush
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 0)
    os.dup2(silence, 1)  # what a killed run leaves behind must not hold our answers open
    try:
        amphion_core.training.run.train(recipe.check(order["values"]), order["run"], resume=True)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            run(json.loads(line))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
