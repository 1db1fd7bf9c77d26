"""The steps from recordings to a voice: each is a command of ``amphion``, run by a child process of the page."""

import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amphion_core import cards, recipe as recipes, registry, yaml
from amphion_core.demo.voices import Voice, digest_of, read_json, write_json
from amphion_core.errors import AmphionError, DataError, RecipeError
from amphion_core.files import locked, make_folder, not_written
from amphion_core.training import checkpoint

STEPS = ("transcribe", "prepare", "train")
STOPPED, FINISHED = 130, 0
_TAIL = 20_000  # bytes of an output in which its error is looked for


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a step is: ``status`` is new, running, done, stopped or failed. ``said`` are the lines of an error.

    ``of`` is the checksum of the recordings and texts that the step began with, ``started`` seconds since 1970.
    """

    status: str = "new"
    said: str = ""
    of: str = ""
    started: float = 0.0
    words: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command line of the step."""
        return command_line(self.words) if self.words else ""


@dataclass(frozen=True, slots=True)
class Run:
    """The newest run of a voice. ``steps`` are those that it shall have, ``step`` those on the disk."""

    path: Path
    recipe: str
    step: int
    steps: int
    is_begun: bool  # whether ``--resume`` can continue it
    can_speak: bool
    is_outdated: bool  # whether the data were prepared again since it began

    @property
    def is_finished(self) -> bool:
        """Whether all steps are done."""
        return 0 < self.steps <= self.step


class Steps:
    """Starts and stops the steps of all voices of a server. One training at a time, and one other step."""

    def __init__(self) -> None:
        self._children: dict[tuple[Path, str], subprocess.Popen[bytes]] = {}
        self._stopping: set[int] = set()
        self._lock = threading.Lock()

    def start(self, voice: Voice, step: str, words: Sequence[str], *, of: str = "", **facts: Any) -> None:
        """Begin ``amphion WORDS...`` as a step of the voice. Raises DataError while another step runs."""
        with self._lock:
            self._check_free(voice, step)
            make_folder(voice.work)
            (voice.work / f"{step}.ended").unlink(missing_ok=True)
            facts |= {"words": [*words], "of": of, "started": time.time()}
            write_json(voice.work / f"{step}.json", facts)
            command = [sys.executable, "-m", "amphion_core.demo.voice_child", str(voice.work.absolute()), step, *words]
            try:
                with (voice.work / f"{step}.log").open("wb") as log:
                    self._children[voice.path, step] = subprocess.Popen(
                        command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                    )
            except OSError as error:
                raise not_written(error, voice.work) from error

    def _check_free(self, voice: Voice, step: str) -> None:
        busy = [(path, name) for (path, name), child in self._children.items() if child.poll() is None]
        for path, name in busy:
            if path == voice.path or (name == "train") == (step == "train"):
                whose = "this voice" if path == voice.path else f"the voice {path.name}"
                raise DataError(f"{_DOING[name]} {whose} is running", hint="wait until it has ended, or stop it")
        if any(is_locked(voice, name) for name in STEPS):
            raise DataError(
                "a step of this voice is running in another process, such as that of a page that was closed",
                hint="wait until it has ended",
            )

    def is_ours(self, voice: Voice, step: str) -> bool:
        """Whether this server runs the step now."""
        child = self._children.get((voice.path, step))
        return child is not None and child.poll() is None

    def is_stopping(self, voice: Voice, step: str) -> bool:
        """Whether somebody has asked the running step to end."""
        return self.is_ours(voice, step) and self._children[voice.path, step].pid in self._stopping

    def stop(self, voice: Voice, step: str) -> None:
        """Ask a step to end: a training saves a checkpoint first. Asking again changes nothing."""
        with self._lock:
            if self.is_ours(voice, step) and not self.is_stopping(voice, step):
                child = self._children[voice.path, step]
                self._stopping.add(child.pid)
                child.terminate()

    def wait(self, voice: Voice, step: str, seconds: float = 60.0) -> int | None:
        """The exit code of a step of this server, when it has ended; None if it runs longer than ``seconds``."""
        with suppress(subprocess.TimeoutExpired):
            return self._children[voice.path, step].wait(seconds)
        return None

    def outcome(self, voice: Voice, step: str) -> Outcome:
        """How far a step is, as the disk says."""
        about = read_json(voice.work / f"{step}.json")
        if not about:
            return Outcome()
        words = tuple(map(str, about.get("words") or ()))
        known: dict[str, Any] = {"of": str(about.get("of", "")), "words": words}
        known["started"] = float(about.get("started") or 0)
        if self.is_ours(voice, step) or is_locked(voice, step):
            return Outcome("running", **known)
        try:
            code = int((voice.work / f"{step}.ended").read_text())
        except (OSError, ValueError):  # killed, with the computer or alone
            code = STOPPED
        if code == FINISHED:
            return Outcome("done", **known)
        if code == STOPPED:
            return Outcome("stopped", **known)
        return Outcome("failed", error_in(voice.work / f"{step}.log"), **known)

    def close(self) -> None:
        """End all steps; a training goes on until it has saved a checkpoint."""
        for child in self._children.values():
            if child.stdin is not None:
                with suppress(OSError):
                    child.stdin.close()


_DOING = {"transcribe": "the transcription of", "prepare": "the preparation of", "train": "the training of"}


def is_locked(voice: Voice, step: str) -> bool:
    """Whether a process does this step of the voice now."""
    path = voice.work / f"{step}.lock"
    if not path.exists():
        return False
    try:
        os.close(locked(path))
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def error_in(log: Path) -> str:
    """The last error of an output with its hint; the last line where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    places = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    return "\n".join(lines[places[-1] :][:8] if places else lines[-1:])


def command_line(words: Sequence[str]) -> str:
    """What a user types for the same step."""
    return shlex.join(["amphion", *words])


def transcribe_words(voice: Voice, recognizer: str = "") -> list[str]:
    """The command that writes the missing texts."""
    named = ["--recognizer", recognizer] if recognizer else []
    return ["transcribe", str(voice.audio), "--language", voice.language.partition("-")[0], *named]


def prepare_words(voice: Voice) -> list[str]:
    """The command that prepares the recordings. All but a few learn; none is kept for a test."""
    options = ["trim=40", "loudness=-23", "need_text=true", "test=0"]
    return ["prepare", "folder", str(voice.audio), str(voice.prepared), *options, "--processes", "1"]


def begin_training(steps: Steps, voice: Voice, recipe: str, overrides: Sequence[str]) -> None:
    """Begin a new run. Raises DataError unless the recordings and texts are prepared as they are now."""
    prepared = steps.outcome(voice, "prepare")
    if prepared.status != "done":
        raise DataError("the recordings are not prepared yet", hint="press Prepare first")
    if prepared.of != digest_of(voice.recordings()):
        raise DataError("recordings or texts have changed since they were prepared", hint="press Prepare again")
    out = voice.runs / recipe
    number = 2
    while out.exists():
        out = voice.runs / f"{recipe}-{number}"
        number += 1
    words = ["train", recipe, f"data.root={voice.prepared}", *overrides, "--out", str(out)]
    steps.start(voice, "train", words, of=prepared.of, run=out.name, recipe=recipe, first=words)


def go_on(steps: Steps, voice: Voice, wanted: int | None = None) -> None:
    """Continue the newest run, up to ``wanted`` steps. Raises DataError where there is none, or all is done."""
    run, about = newest_run(voice, steps), read_json(voice.work / "train.json")
    if run is None:
        raise DataError("no training was begun yet", hint="press Train")
    if run.is_outdated:
        raise DataError("the data were prepared again since this training began", hint="press Train to begin a new one")
    if run.is_begun and max(wanted or 0, run.steps) <= run.step:
        raise DataError(f"all {run.steps} steps are done", hint=f"type more steps, such as {2 * run.step}")
    first = [str(word) for word in about.get("first") or ()]
    longer = [f"engine.steps={wanted}"] if wanted and wanted != run.steps else []
    words = ["train", str(run.path), "--resume", *longer] if run.is_begun else first  # nothing was saved: begin again
    facts = {"run": run.path.name, "recipe": run.recipe, "first": first}
    steps.start(voice, "train", words, of=str(about.get("of", "")), **facts)


def newest_run(voice: Voice, steps: Steps) -> Run | None:
    """The run of the voice that was started last; None before the first one."""
    about = read_json(voice.work / "train.json")
    if not about.get("run"):
        return None
    path = Path(voice.runs, str(about["run"]))
    config: Any = {}
    with suppress(AmphionError):
        config = yaml.read(path / "config.yaml") if (path / "config.yaml").is_file() else {}
    engine = config.get("engine", {}) if isinstance(config, dict) else {}
    saved = checkpoint.steps(path / "checkpoints")
    prepared = steps.outcome(voice, "prepare")
    is_outdated = prepared.status == "done" and prepared.of != about.get("of")
    return Run(
        path, str(about.get("recipe", "")), max([*saved, 0]), int(engine.get("steps") or 0), bool(config), bool(saved),
        is_outdated,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """A recipe that learns a voice: its name, its title, its steps, and what it still needs, as a hint."""

    name: str
    title: str
    steps: int
    needs: str = ""


def choices(task: str) -> list[Choice]:
    """The recipes of a task that learn a voice, those that can be used at once first."""
    found = []
    for name in registry.get("tasks", task).voice_recipes:
        try:
            path = recipes.find(name)
            values, text = yaml.read(path), path.read_text(encoding="utf-8")
            title = text.partition("\n")[0].removeprefix("#").strip()
            header = text.partition("\nname:")[0]
            found.append(Choice(name, title, int(values["engine"]["steps"]), _needs(values, header)))
        except (AmphionError, OSError, KeyError, TypeError, ValueError):  # a recipe that is not installed, or broken
            continue
    return sorted(found, key=lambda choice: bool(choice.needs))


def _needs(values: dict[str, Any], header: str) -> str:
    """The command that makes the cards of a recipe usable, which its header states; empty where they are."""
    given = values["engine"].get("init_from") or {}
    places = [given] if isinstance(given, str) else given.values()
    names = [place["source"] if isinstance(place, dict) else place for place in places]
    names += [values["trainer"]["vocoder"]] if values.get("trainer", {}).get("vocoder") else []
    found = re.search(r"pip install \S+", header)
    command = found[0] if found else f"amphion info {names[0]}" if names else ""
    for name in names:
        try:
            if cards.find(name).status not in ("ready", "download"):
                return command
        except AmphionError:  # the distribution that has the card is not installed
            return command
    return ""


def override_lines(text: str, *, are_free: bool) -> list[str]:
    """The lines ``NAME=VALUE`` of a text. Raises RecipeError for a line that is none.

    Without ``are_free`` every line is refused: a page that others can open hides the field, but a client may still send
    it, and a setting can name any file of this computer.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and not are_free:
        raise RecipeError("on this page the settings of a recipe cannot be changed", hint="leave them empty")
    for line in lines:
        if "=" not in line or line.startswith("-"):
            raise RecipeError(f"{line[:80]!r} is not a setting", hint="write NAME=VALUE, such as optim.lr=1e-4")
    return lines
