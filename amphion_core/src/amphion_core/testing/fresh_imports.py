"""What resolving a component imports, in a process that has imported nothing of its distribution.

PyTorch takes seconds to import. So one process imports it once, and is forked for each component. Where a system cannot
fork, each component has a new process.
"""

import atexit
import json
import os
import subprocess
import sys
from functools import cache

FORKS = """
import importlib, json, os, sys
import amphion_core
try:
    import torch
except ImportError:
    pass

def resolved(kind, name):
    try:
        importlib.invalidate_caches()
        amphion_core.get(kind, name)
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}", "modules": []}
    return {"error": "", "modules": sorted(sys.modules)}

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what an import prints is no answer
for line in sys.stdin:
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        with os.fdopen(write, "w") as pipe:
            json.dump(resolved(*json.loads(line)), pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        print(pipe.read(), file=answers, flush=True)
    os.waitpid(child, 0)
"""
ALONE = """
import json, sys
import amphion_core
error = ""
try:
    amphion_core.get(*json.loads(sys.argv[1]))
except BaseException as raised:
    error = f"{type(raised).__name__}: {raised}"
print("\\n" + json.dumps([error, sorted(sys.modules)]))
"""


def modules_of(kind: str, name: str) -> tuple[str, set[str]]:
    """Why resolving a name fails in a new process, or nothing; and the names of the modules that are then imported."""
    if not hasattr(os, "fork"):
        return _alone(kind, name)
    process = _forking(os.environ.get("PYTHONPATH", ""), os.getcwd())  # noqa: PTH109 - part of what can be imported
    if process.stdin is None or process.stdout is None or process.poll() is not None:
        return _alone(kind, name)
    process.stdin.write(json.dumps([kind, name]) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline().strip()
    if not answer:
        return "the process died", set()
    found = json.loads(answer)
    return found["error"], set(found["modules"])


def _alone(kind: str, name: str) -> tuple[str, set[str]]:
    words = [sys.executable, "-c", ALONE, json.dumps([kind, name])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["the process died"])[-1], set()
    error, modules = json.loads(done.stdout.splitlines()[-1])
    return error, set(modules)


@cache
def _forking(path: str, folder: str) -> subprocess.Popen[str]:
    """The process that is forked, one for each place to import from; it ends with this process."""
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    atexit.register(process.communicate)  # closes its input, at which it ends
    return process
