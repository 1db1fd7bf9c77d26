"""Runs a command in a process with limits, and says how it ended."""

import contextlib
import io
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch

from amphion_core.cli.main import main

from .ground import lay
from .inputs import Input, Maker

SECONDS = 20  # a command on a small input must end within this time
MEMORY = 2 << 30  # bytes that it may use
LONGEST = 60  # lines of an error; more is no clear sentence
FAILURES = (
    "timeout",
    "memory",
    "crash",
    "traceback",
    "unexpected",
    "no error",
    "exit code",
    "long error",
    "half a file",
)


@dataclass(frozen=True)
class Ending:
    """How a command ended: ``result``, ``partial result``, ``refused``, or one of FAILURES, with what it printed."""

    name: str
    shown: str


class Fuzzer:
    """Makes inputs and runs them, each in a process that is forked from this one, which has imported everything."""

    def __init__(self, folder: Path, seed: int) -> None:
        torch.set_num_threads(1)
        self.folder, self.seed = folder, seed
        (folder / "ground").mkdir()
        self.ground = lay(folder / "ground")
        self._warm_up()

    def run(self, maker: Maker, number: int) -> Ending:
        """Make input ``number`` of a kind, run it, and judge its ending."""
        folder = self.folder / f"{maker.__name__}_{number}"
        folder.mkdir()
        made = maker(Random(f"{self.seed} {maker.__name__} {number}"), self.ground, folder)
        ending = self._judged(made, folder)
        for path in folder.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        return ending

    def _warm_up(self) -> None:
        """Run each command once, so that a forked process finds all modules imported."""
        folder = self.folder / "warm"
        folder.mkdir()
        ground = self.ground
        for words in (
            *(["tts", "Hello.", "--model", str(voice), "-o", str(folder / "a.wav")] for voice in ground.voices),
            ["vocode", str(ground.audio[0]), "--vocoder", str(ground.vocoder), "-o", str(folder / "b.wav")],
            ["eval", str(ground.audio[0]), "--ref", str(ground.audio[0]), "--metrics", "si_sdr", "--workers", "1"],
        ):
            self._judged(Input(words), folder)
            with contextlib.redirect_stdout(io.StringIO()):
                main(words)

    def _judged(self, made: Input, folder: Path) -> Ending:
        code, peak, output, errors = self._run(made, folder)
        said = " ".join(word[:200] for word in made.words)
        shown = (
            f"amphion {said}\n    exit code {code}, {peak >> 20} MiB: {errors[-600:].strip() or output[-200:].strip()}"
        )
        return Ending(self._name(made, code, peak, errors), shown)

    def _name(self, made: Input, code: int | None, peak: int, errors: str) -> str:
        if code is None:
            return "timeout"
        if peak > MEMORY:
            return "memory"
        if code < 0:
            return "crash"
        if "Traceback (most recent call last)" in errors:
            return "traceback"
        if "unexpected" in errors and code == 1:
            return "unexpected"
        if code not in (0, 1, 2):
            return "exit code"
        if code == 2 and "error: " not in errors:
            return "no error"
        if code == 2 and len(errors.splitlines()) > LONGEST:
            return "long error"
        if code == 2 and made.out is not None and made.out.is_file() and not made.out.is_symlink():
            return "half a file"
        return ("result", "partial result", "refused")[code]

    def _run(self, made: Input, folder: Path) -> tuple[int | None, int, str, str]:
        """Exit code (None after SECONDS), peak memory in bytes, and both outputs."""
        names = [self.folder / name for name in ("stdin", "stdout", "stderr")]
        names[0].write_bytes(made.stdin)
        child = os.fork()
        if child == 0:
            self._be_command(made, folder, names)
        end = time.monotonic() + SECONDS
        done, status, usage = os.wait4(child, os.WNOHANG)
        while not done and time.monotonic() < end:
            time.sleep(0.005)
            done, status, usage = os.wait4(child, os.WNOHANG)
        late = not done
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # also what the command has started
        if late:
            _, status, usage = os.wait4(child, 0)
        output, errors = (name.read_text(encoding="utf-8", errors="replace") for name in names[1:])
        return None if late else os.waitstatus_to_exitcode(status), usage.ru_maxrss << 10, output, errors

    @staticmethod
    def _be_command(made: Input, folder: Path, names: list[Path]) -> None:
        """Become the command: outputs go to files, memory is limited, and the process ends with its exit code."""
        os.setsid()
        for number, (name, mode) in enumerate(zip(names, (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
            os.dup2(os.open(name, mode | (os.O_CREAT | os.O_TRUNC if number else 0), 0o644), number)
        resource.setrlimit(resource.RLIMIT_DATA, (2 * MEMORY, 2 * MEMORY))  # protects this computer
        os.chdir(folder)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(n, m, encoding="utf-8", closefd=False) for n, m in enumerate("rww")
        )
        try:
            code = main(made.words)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
