"""A fork server for the kill test: it imports everything once, then forks a process for each training run.

It reads JSON lines {"values": recipe, "run": folder}. For each it starts a process that trains, resuming if there is a
run, and prints the process id; when the process has ended, it prints the exit code.
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
    """Flush as a slow disk does, so that a run spends a large part of its time writing checkpoints."""
    time.sleep(0.02)
    flush(path)


def run(request):
    checkpoint._flush = slow_flush
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 0)
    os.dup2(silence, 1)  # processes that outlive a killed run must not keep our output open
    try:
        amphion_core.training.run.train(recipe.check(request["values"]), request["run"], resume=True)
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
