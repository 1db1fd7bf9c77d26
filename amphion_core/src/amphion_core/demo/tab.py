"""One tab of the page: the form of a task, its buttons, the progress, and the results side by side."""

import html
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import gradio as gr

from amphion_core import registry
from amphion_core.demo import forms, models
from amphion_core.demo.jobs import Job, Jobs, Stopped
from amphion_core.demo.results import Asked, Result, Studio
from amphion_core.errors import AmphionError

MOST = 4  # models that are compared
PARTS = 6  # components of one result
EVERY = 0.25  # seconds between two looks at a job


def title_of(ref: registry.ComponentRef) -> str:
    """What the tab is called: the beginning of the task's summary, such as "Text to speech", else its name."""
    beginning, separator, _ = ref.summary.partition(" as a task")
    return beginning if separator else forms.label(ref.name)


class Tab:
    """The tab of one task. ``own_places``: a user may type any folder of this computer as a model."""

    def __init__(self, ref: registry.ComponentRef, studio: Studio, jobs: Jobs, *, own_places: bool) -> None:
        self.name = ref.name
        self._studio = studio
        self._jobs = jobs
        try:
            framework = ref.load()
        except AmphionError as error:
            gr.HTML(said(error))
            return
        summary = ref.summary.partition(" as a task: ")[2] or ref.summary
        gr.Markdown(summary[:1].upper() + summary[1:])
        self.request = forms.fields(framework.Request.model_fields, self.name, own_places=own_places)
        self.config = forms.fields(
            framework.Config.model_fields, f"{self.name}-config", skip=("model",), own_places=own_places
        )
        self.has_model = "model" in framework.Config.model_fields
        self.has_controls = "controls" in framework.Request.model_fields
        inputs = self._build(framework, own_places=own_places)
        self._connect(inputs)

    def _build(self, framework: Any, *, own_places: bool) -> list[Any]:
        """Lay out the tab; the inputs in the order in which `_asked` reads them."""
        made: dict[int, Any] = {}
        first = models.default(self.name)
        with gr.Row():
            with gr.Column(scale=2):
                for field in filter(lambda each: each.is_prominent, self.request):
                    made[id(field)] = field.component()
                self.model = gr.Dropdown(
                    models.choices(self.name), value=[first] if first else [], multiselect=True, max_choices=MOST,
                    allow_custom_value=own_places, label="Model", elem_id=f"{self.name}-model", visible=self.has_model,
                    info=f"cards and runs on this computer{', or a folder of weights' if own_places else ''}; "
                    f"up to {MOST} are compared side by side",
                )  # fmt: skip
                with gr.Accordion("More options", open=False, elem_id=f"{self.name}-more"):
                    for field in (*self.request, *self.config):
                        if id(field) not in made:
                            made[id(field)] = field.component()
                shown = models.controls(self.name, first) if self.has_controls else {}
                with gr.Accordion(
                    "Controls of the model", open=False, visible=bool(shown), elem_id=f"{self.name}-controls"
                ) as self.controls:
                    self.slots = forms.control_slots(self.name, shown)
            with gr.Column(scale=3):
                with gr.Row():
                    self.run = gr.Button("Generate", variant="primary", elem_id=f"{self.name}-run")
                    self.cancel = gr.Button("Cancel", interactive=False, elem_id=f"{self.name}-cancel")
                self.status = gr.HTML(elem_id=f"{self.name}-status")
                with gr.Row():
                    self.results = [
                        part
                        for index in range(MOST)
                        for part in result_parts(f"{self.name}-result-{index}", f"Result {index + 1}")
                    ]
        form = (*self.request, *self.config)
        return [self.model, *(made[id(field)] for field in form), *self.slots]

    def _connect(self, inputs: list[Any]) -> None:
        outputs = [self.status, self.run, self.cancel, *self.results]
        started = self.run.click(
            lambda: [WAITING, *buttons(running=True)], None, outputs[:3], queue=False, api_visibility="private"
        )
        running = started.then(
            self._generate, inputs, outputs, concurrency_id="generate", concurrency_limit=1, show_progress="minimal",
            show_progress_on=self.status, api_name=f"generate_{self.name}", api_visibility="private",
            trigger_mode="multiple",  # otherwise a click soon after a cancelled request would be ignored
        )  # fmt: skip
        self.cancel.click(self._cancel, None, outputs[:3], cancels=running, queue=False, api_visibility="private")
        if self.has_controls:
            self.model.change(
                self._model_changed, self.model, [self.controls, *self.slots], queue=False, api_visibility="private"
            )

    def _model_changed(self, chosen: list[str] | None) -> list[Any]:
        shown = models.controls(self.name, (chosen or [""])[0])
        return [gr.update(visible=bool(shown)), *forms.changed_slots(shown)]

    def _asked(self, values: Sequence[Any]) -> Asked:
        """The filled form."""
        chosen, rest = values[0] or [], values[1:]
        ends = len(self.request), len(self.request) + len(self.config)
        request = forms.read(self.request, rest[: ends[0]])
        if self.has_controls:
            shown = models.controls(self.name, (chosen or [""])[0])
            if controls := forms.read_controls(shown, rest[ends[1] :]):
                request["controls"] = controls
        return Asked(self.name, tuple(chosen), forms.read(self.config, rest[ends[0] : ends[1]]), request)

    def _generate(self, user: gr.Request, *values: Any) -> Iterator[list[Any]]:
        """Run the request, and yield what the page shows while it runs."""
        asked, start, before = self._asked(values), time.monotonic(), ""
        job, future = self._jobs.start(f"{user.session_hash}/{self.name}", partial(self._studio.make, asked=asked))
        hidden = [gr.update(visible=False), *[gr.skip()] * (PARTS - 1)] * MOST
        yield [working(job, start), *buttons(running=True), *hidden]
        while not future.done():
            time.sleep(EVERY)
            if (now := working(job, start)) != before:
                before = now
                yield [now, *[gr.skip()] * (2 + len(self.results))]
        try:
            results = future.result()
        except Stopped:
            yield [CANCELLED, *buttons(running=False), *[gr.skip()] * len(self.results)]
            return
        shown = [part for result in results for part in shown_result(result)]
        unused = [gr.skip()] * (len(self.results) - len(shown))
        made = sum(result.error is None for result in results)
        status = said_done(made, len(results)) if len(results) > 1 or made else said(results[0].error)
        if len(results) == 1 and not made:
            shown = [gr.skip()] * PARTS
        yield [status, *buttons(running=False), *shown, *unused]

    def _cancel(self, user: gr.Request) -> list[Any]:
        self._jobs.stop(f"{user.session_hash}/{self.name}")
        return [CANCELLED, *buttons(running=False)]


CODE: dict[str, Any] = {"interactive": False, "lines": 1, "wrap_lines": True, "show_line_numbers": False}


def result_parts(place: str, label: str) -> list[Any]:
    """The components of one result, hidden until there is one; ``place`` is the id of its column."""
    with gr.Column(visible=False, min_width=320, elem_id=place) as column:
        title = gr.HTML()
        audio = gr.Audio(label=label, interactive=False, type="filepath", buttons=[])
        download = gr.DownloadButton("Download the audio", size="sm", elem_id=f"{place}-download")
        command = gr.Code(label="The same on the command line", language="shell", **CODE)
        python = gr.Code(label="The same in Python", language="python", **CODE)
    return [column, title, audio, download, command, python]


WAITING = '<p role="status">Waiting for the requests before this one.</p>'
CANCELLED = '<p role="status">Cancelled.</p>'


def buttons(*, running: bool) -> list[Any]:
    """Updates of the two buttons: a running request can be cancelled, and no second one be started."""
    return [gr.update(interactive=not running), gr.update(interactive=running)]


def working(job: Job, start: float) -> str:
    """The progress of a job."""
    seconds = int(time.monotonic() - start)
    bar = '<progress aria-label="progress of the request"></progress>'
    return f'<p role="status">{bar} {html.escape(job.status)}; {seconds} s</p>'


def said(error: AmphionError | None) -> str:
    """An error as the command line prints it: one sentence, and what to do."""
    if error is None:
        return ""
    hint = f"<br>hint: {html.escape(error.hint)}" if error.hint else ""
    message = html.escape(error.message).replace("\n", "<br>")
    return f'<p role="alert" class="amphion-error">error: {message}{hint}</p>'


def said_done(made: int, count: int) -> str:
    """What is reported at the end."""
    return f'<p role="status">Done{f": {made} of {count} results" if count > 1 else ""}.</p>'


def shown_result(result: Result) -> list[Any]:
    """Updates of the components of one result."""
    notes = "".join(f"<br><small>note: {html.escape(note)}</small>" for note in result.notes)
    title = f"<p><b>{html.escape(result.title)}</b>{notes}</p>{said(result.error)}"
    is_made = result.audio is not None
    path = str(result.audio) if is_made else None
    return [
        gr.update(visible=True), title, gr.update(value=path, visible=is_made),
        gr.update(value=path, visible=is_made), gr.update(value=result.command, visible=bool(result.command)),
        gr.update(value=result.python, visible=is_made),
    ]  # fmt: skip
