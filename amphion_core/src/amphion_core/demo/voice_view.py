"""What the page shows of a voice, read from the disk: sentences, the table of texts, curves and samples. No Gradio."""

import html
import re
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core.audio import Audio
from amphion_core.data.report import duration_text, summary
from amphion_core.demo.voice_steps import Outcome, Run, Steps, newest_run
from amphion_core.demo.voices import GOOD_SECONDS, LEAST_RECORDINGS, Recording, Voice, digest_of, read_json
from amphion_core.errors import AmphionError, counted, shortened
from amphion_core.training.run_folder import RunFolder
from amphion_core.visualize.training import charts_of, curves_of

HEADERS = ["Recording", "Seconds", "Text", "Where the text comes from"]
TEXT = HEADERS.index("Text")
MOST_CHARTS, MOST_SAMPLES = 4, 3
SAMPLE_SECONDS = 12.0

Row = list[str | float]


def rows(recordings: list[Recording]) -> list[Row]:
    """The table of texts."""
    return [[one.name, round(one.seconds, 1), one.text, one.origin] for one in recordings]


def texts_of(table: list[list[Any]]) -> dict[str, str]:
    """The text of each recording in a table as the page sends it."""
    return {str(row[0]): str(row[TEXT] or "") for row in table if row and row[0]}


def changed_texts(table: list[list[Any]], loaded: dict[str, str]) -> dict[str, str]:
    """The texts that a user has changed since the table was ``loaded``."""
    found = texts_of(table)
    return {name: text for name, text in found.items() if name in loaded and text != loaded[name]}


def summary_of(recordings: list[Recording]) -> str:
    """How many recordings there are, and what is missing."""
    if not recordings:
        return said("No recordings yet. Some minutes are a good beginning: 30 sentences of 2 to 10 seconds.")
    seconds = sum(one.seconds for one in recordings)
    lines = [f"{counted(len(recordings), 'recording')}, {duration_text(seconds / 3600)}."]
    if len(recordings) < LEAST_RECORDINGS:
        lines.append(f"At least {LEAST_RECORDINGS} are needed.")
    if without := [one.name for one in recordings if not one.text]:
        shown = ", ".join(without[:5]) + (" ..." if len(without) > 5 else "")
        lines.append(f"{len(without)} without a text, which nothing is learned from: {shown}.")
    if seconds < GOOD_SECONDS:
        lines.append(f"With less than {GOOD_SECONDS / 60:.0f} minutes the voice is similar at best; record more.")
    return said(" ".join(lines))


def transcription(outcome: Outcome, recordings: list[Recording]) -> str:
    """How far the recogniser is."""
    known = sum(bool(one.text) for one in recordings)
    if outcome.status == "running":
        return said(f"{progress(known, len(recordings), 'transcription')} transcribing: {known} of {len(recordings)}")
    return _ended(
        outcome, f"{known} of {counted(len(recordings), 'recording')} have a text.", "Press Transcribe to go on."
    )


def preparation(voice: Voice, outcome: Outcome, digest: str) -> str:
    """What was prepared, and whether it is still what the recordings and texts say."""
    if outcome.status == "running":
        return said("<progress aria-label='preparation'></progress> preparing")
    lines = ""
    if outcome.status == "done":
        report = read_json(voice.prepared / "report.json")
        try:
            lines = "<br>".join(map(html.escape, summary(report)))
        except (KeyError, TypeError, AttributeError):
            lines = "The report is damaged; press Prepare again."
        if outcome.of != digest:
            lines = f"<b>Recordings or texts have changed since: press Prepare again.</b><br>{lines}"
    return _ended(outcome, lines, "Press Prepare again.")


def training(run: Run | None, outcome: Outcome, points: list[dict[str, Any]], *, ours: bool, stopping: bool) -> str:
    """How far the training is."""
    if run is None:
        return said("")
    step = max([run.step, *(point["step"] for point in points[-1:])])
    if outcome.status == "running":
        if stopping:
            return said(f"Stopping after step {step:,}: a checkpoint is saved.")
        where = "" if ours else " in another process, such as that of a page that was closed; it ends by itself"
        of = f" of {run.steps:,}" if run.steps else ""
        shown = f"step {step:,}{of}" if step else "starting: this takes up to a minute"
        return said(f"{progress(step, run.steps, 'training')} {shown}{where}")
    saved = f"The checkpoint of step {run.step:,} of {run.steps:,} is kept." if run.step else "Nothing was saved yet."
    if run.is_outdated:
        saved += " The data were prepared again since, so this training cannot go on: press Train for a new one."
    if outcome.status == "done" and run.is_finished:
        return said(f"All {run.steps:,} steps are done. To train longer, type more steps and press Go on.")
    return _ended(outcome, saved, f"{saved} Press Go on to continue.")


def _ended(outcome: Outcome, done: str, stopped: str) -> str:
    if outcome.status == "failed":
        return alert(outcome.said)
    if outcome.status == "stopped":
        return said(f"Stopped. {stopped}")
    return said(done)


def said(text: str) -> str:
    """A sentence, as HTML, that a screen reader reads when it changes."""
    return f'<p role="status">{text}</p>'


def alert(text: str) -> str:
    """The lines of an error."""
    return f'<p role="alert" class="amphion-error">{html.escape(shortened(text, 2000)).replace(chr(10), "<br>")}</p>'


def progress(done: int, total: int, what: str) -> str:
    """A bar; an indeterminate one while nothing is known."""
    known = f' value="{done}" max="{total}"' if total and done else ""
    return f'<progress aria-label="progress of the {what}"{known}></progress>'


def charts(points: list[dict[str, Any]]) -> str:
    """The first curves of a run as SVG; empty before there are two points."""
    if len(points) < 2:
        return ""
    found = charts_of(curves_of(points), marker=False)[:MOST_CHARTS]
    return f'<div class="amphion-curves">{"".join(found)}</div>'


def samples(run: Path) -> tuple[int, list[Path]]:
    """The step of the last validation with samples, and its audio files; (0, []) before the first one."""
    folders = {
        int(match[1]): path
        for path in (run / "samples").glob("step-*")
        if (match := re.fullmatch(r"step-(\d{1,15})", path.name))
    }
    for step in sorted(folders, reverse=True):
        if files := sorted(folders[step].glob("*.wav"))[:MOST_SAMPLES]:
            return step, files
    return 0, []


def playable(path: Path) -> tuple[int, Any] | None:
    """(Hz, 16-bit samples (T,)) of the beginning of a recording; None for one that cannot be read."""
    try:
        audio = Audio.load(path).mono()
    except AmphionError:
        return None
    part = audio.samples[: round(SAMPLE_SECONDS * audio.sample_rate)]
    return audio.sample_rate, np.round(np.clip(part, -1, 1) * 32767).astype(np.int16)


class View:
    """Everything that the page shows of one voice at one moment."""

    def __init__(self, voice: Voice, steps: Steps) -> None:
        self.voice = voice
        self.recordings = voice.recordings()
        self.outcomes = {name: steps.outcome(voice, name) for name in ("transcribe", "prepare", "train")}
        self.run = newest_run(voice, steps)
        self.points = RunFolder(self.run.path).points() if self.run else []
        self.sample_step, self.samples = samples(self.run.path) if self.run else (0, [])
        self.ours = {name: steps.is_ours(voice, name) for name in self.outcomes}
        self.stopping = steps.is_stopping(voice, "train")
        self.digest = digest_of(self.recordings)

    @property
    def is_busy(self) -> bool:
        """Whether a step of the voice is running."""
        return any(outcome.status == "running" for outcome in self.outcomes.values())

    @property
    def can_go_on(self) -> bool:
        """Whether the newest run can be continued."""
        return self.run is not None and not self.run.is_outdated and not self.is_busy
