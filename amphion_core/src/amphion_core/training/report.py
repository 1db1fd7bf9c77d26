"""What a run shows: a progress bar, or lines where there is no terminal; curves and samples. First process only."""

import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from amphion_core.data.report import duration_text
from amphion_core.errors import counted
from amphion_core.training.board import Board
from amphion_core.training.processes import Processes
from amphion_core.training.run_folder import DEV, RunFolder

EVERY = 30.0  # seconds between lines where there is no terminal


class Report:
    """Shows the user how a run goes, and writes its curve. Only the first process shows anything."""

    def __init__(self, run: RunFolder, processes: Processes) -> None:
        self.run, self.active = run, processes.first
        self.console = Console(stderr=True, quiet=not self.active, markup=False, emoji=False)  # "tts[voice]" is text
        self.live = self.active and sys.stderr.isatty()
        self._board: Board | None = None
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}"), TimeRemainingColumn(), console=self.console, disable=not self.live,
        )  # fmt: skip
        self._task: Any = None
        self._printed, self._since = 0.0, time.monotonic()

    def start(self, step: int, steps: int, corpus: Any) -> None:
        """The run begins after ``step``."""
        if not self.active:
            return
        self._board = Board(self.run.path, step)
        items = f"{counted(len(corpus), 'item')} ({duration_text(corpus.seconds / 3600)})"
        items += f", {corpus.left_out} left out for their length" if corpus.left_out else ""
        self.console.print(f"{'resumed after step ' + str(step) if step else 'starting'}: {items}")
        self._bar.start()
        self._task = self._bar.add_task("train", total=steps, completed=step, shown="")
        self._since = time.monotonic()

    def warn(self, text: str) -> None:
        """Print something that may be wrong but does not stop the run."""
        self.console.print(f"warning: {text}", style="yellow", highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print something that the user should know."""
        self.console.print(text, highlight=False, soft_wrap=True)

    def progress(self, step: int, lines: list[dict[str, Any]], seconds: float) -> None:
        """Steps up to ``step`` are done. ``lines`` go to the curve; ``seconds`` of audio were processed since then."""
        if not self.active:
            return
        self.run.add(lines)
        now = time.monotonic()
        speed, self._since = seconds / max(1e-9, now - self._since), now
        losses = "  ".join(
            f"{k.removesuffix('/loss')} {v:.3f}" for k, v in (lines[-1] if lines else {}).items() if k.endswith("/loss")
        )
        shown = f"{losses}  {speed:.1f} s of audio per second"
        self._bar.update(self._task, completed=step, shown=shown, description="train")
        if not self.live and lines and now - self._printed > EVERY:
            self._printed = now
            self.console.print(f"step {step}: {shown}", highlight=False)
        for line in lines if self._board else ():
            self._board.scalars(line["step"], {k: v for k, v in line.items() if k != "step"})  # type: ignore[union-attr]

    def validating(self, items: int) -> None:
        """``items`` have been validated."""
        self._bar.update(self._task, description=f"validate {items}") if self.active else None

    def validated(
        self, step: int, scores: dict[str, float], *, best: bool, audio: Any, pictures: Any, rate: int
    ) -> None:
        """A validation is over."""
        if not self.active or self._board is None:
            return
        named = {f"{DEV}{name}": value for name, value in scores.items()}
        self._board.scalars(step, named)
        self._board.samples(step, audio, pictures, rate)
        self.run.add([{"step": step} | named])  # last: a run that resumes here knows that its validation is complete
        shown = "  ".join(f"{name} {value:.4g}" for name, value in scores.items())
        self.console.print(f"step {step}: {shown}{'  (best)' if best else ''}", highlight=False)
        self._since = time.monotonic()

    def saved(self, path: Any) -> None:
        """A checkpoint is on the disk."""
        self._bar.update(self._task, description="train")

    def finish(self, step: int, *, interrupted: bool) -> None:
        """The training loop has ended after ``step``."""
        self.close()
        if interrupted:
            self.console.print(
                f"stopped after step {step}; to continue, run the same command with --resume", highlight=False
            )

    def close(self) -> None:
        """Restore the terminal and write the remaining events."""
        if self.active:
            self._bar.stop()
            if self._board is not None:
                self._board.close()
                self._board = None
