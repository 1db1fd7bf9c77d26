"""The tab "Your own voice": from recordings to a spoken sentence. What it shows is read from the disk each time."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import gradio as gr

from amphion_core import registry
from amphion_core.data.transcripts import open_recognizer
from amphion_core.demo import voice_layout as layout, voice_steps, voice_view as view
from amphion_core.demo.jobs import Jobs, Stopped
from amphion_core.demo.results import Asked, Studio, clear_error
from amphion_core.demo.tab import EVERY, said, shown_result
from amphion_core.demo.voice_steps import Steps
from amphion_core.demo.voices import Voice, Voices, digest_of
from amphion_core.errors import AmphionError, DataError, MissingPackage
from amphion_core.extras import pip_command
from amphion_core.request_fields import kind_of
from amphion_core.system_errors import explained

TITLE = "Your own voice"
Seen = dict[str, Any]


def speaking_task(names: Sequence[str]) -> str:
    """The first of these tasks that can learn a voice; "" if none can."""
    for name in names:
        try:
            if registry.get("tasks", name).voice_recipes:
                return name
        except AmphionError:
            continue
    return ""


def missing(task: str) -> str:
    """What has to be installed before a voice can be learned, with the commands, as HTML; empty if nothing is."""
    try:
        registry.find("tasks", task or "tts")
    except AmphionError as error:
        return said(error)
    if absent := [name for name in ("accelerate", "tensorboard") if find_spec(name) is None]:
        return said(MissingPackage(f"training needs {absent[0]}", hint=pip_command("amphion-core", absent)))
    if not (found := voice_steps.choices(task)):
        return said(DataError("no recipe that learns a voice is installed", hint="pip install amphion-tts"))
    if all(choice.needs for choice in found):
        return said(DataError("the recipes that learn a voice need another package", hint=found[0].needs))
    return ""


class VoiceTab:
    """The tab of one task. ``own_settings``: a user may change any setting of a recipe, also one that names a file."""

    def __init__(
        self, task: str, voices: Voices, steps: Steps, studio: Studio, jobs: Jobs, *, own_settings: bool
    ) -> None:
        self.task, self.voices, self.steps = task, voices, steps
        self._studio, self._jobs, self._own_settings = studio, jobs, own_settings
        self.text_field = next(
            name for name, info in registry.get("tasks", task).Request.model_fields.items()
            if info.is_required() and kind_of(info.annotation) is str
        )  # fmt: skip
        self.choices = voice_steps.choices(task)
        self.form = layout.Form(self.choices, _no_recognizer(), str(voices.root), own_settings=own_settings)
        self._connect()

    def _connect(self) -> None:
        f = self.form
        quick: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
        shown = [*f.shown, f.seen, f.loaded]

        def on(event: Any, work: Callable[..., str], inputs: list[Any], message: Any, *cleared: Any) -> None:
            """Do ``work`` with the chosen voice, say what it returns, and show the voice as it is then."""
            event(
                partial(self._act, work, len(cleared)), [f.voice, *inputs], [message, *cleared, *shown], **quick
            )  # fmt: skip

        f.make.click(self._create, [f.new_name, f.language], [f.said_voice, f.voice, f.new_name, *shown], **quick)
        f.voice.input(lambda name: self._shown(name, {}), f.voice, shown, **quick)
        on(f.upload.upload, self._add, [f.upload], f.said_recordings, f.upload)
        f.microphone.change(
            self._record, [f.voice, f.microphone, f.read_text],
            [f.said_recordings, f.microphone, f.read_text, *shown], **quick,
        )  # fmt: skip
        on(f.language.blur, self._set_language, [f.language], f.said_texts)
        on(f.transcribe.click, self._transcribe, [f.language], f.said_texts)
        on(f.stop_transcribing.click, partial(self._stop, step="transcribe"), [], f.said_texts)
        for event, otherwise in ((f.table.input, ""), (f.save.click, "All texts are saved.")):
            event(
                partial(self._save, otherwise=otherwise),
                [f.voice, f.table, f.loaded],
                [f.said_texts, f.loaded],
                **quick,
            )
        f.table.select(self._listen, [f.voice], [f.chosen, f.player], **quick)
        on(f.remove.click, self._remove, [f.chosen], f.said_texts)
        on(f.prepare.click, self._prepare, [], f.said_prepare)
        f.recipe.change(self._recipe_changed, f.recipe, [f.about_recipe, f.steps], **quick)
        on(f.train.click, self._train, [f.recipe, f.steps, f.settings], f.said_train)
        on(f.go_on.click, self._go_on, [f.steps], f.said_train)
        on(f.stop.click, partial(self._stop, step="train"), [], f.said_train)
        f.timer.tick(self._tick, [f.voice, f.seen], shown, **quick)
        f.speak.click(
            self._speak, [f.voice, f.text], [f.said_speak, f.speak, *f.result], api_visibility="private",
            concurrency_id="generate", concurrency_limit=1, show_progress="hidden",
        )  # fmt: skip

    def opened(self) -> list[Any]:
        """What a newly opened page shows: the voice that was changed last. Updates for ``outputs``."""
        names = self.voices.names()
        first = names[0] if names else None
        return [gr.update(choices=names, value=first), *self._shown(first, {})]

    @property
    def outputs(self) -> list[Any]:
        """The components that ``opened`` updates."""
        return [self.form.voice, *self.form.shown, self.form.seen, self.form.loaded]

    def _shown(self, name: str | None, seen: Seen) -> list[Any]:
        """Updates of all that is shown of a voice; what was ``seen`` already stays as it is."""
        try:
            found = view.View(self.voices.open(name or ""), self.steps) if name else None
        except AmphionError:
            found = None
        updates, now = self.form.updates(found, seen)
        return [*updates, now, view.texts_of(view.rows(found.recordings)) if found else {}]

    def _tick(self, name: str | None, seen: Seen) -> list[Any]:
        """As `_shown`, but the table is renewed only while the recogniser writes, so that no edit is disturbed."""
        if not name:
            return [gr.skip()] * len(self.outputs[1:])
        *updates, now, loaded = self._shown(name, seen)
        if not (now.get("transcribing") or seen.get("transcribing")):
            updates[self.form.shown.index(self.form.table)] = gr.skip()
            now["table"], loaded = seen.get("table"), gr.skip()
        return [*updates, now, loaded]

    def _act(self, work: Callable[..., str], cleared: int, name: str | None, *values: Any) -> list[Any]:
        message = _message(lambda: work(self.voices.open(name or ""), *values))
        return [message, *[gr.update(value=None)] * cleared, *self._shown(name, {})]

    def _create(self, name: str, language: str) -> list[Any]:
        made: list[str] = []

        def work() -> str:
            made.append(self.voices.create(name, language or "en").name)
            return view.said(f"Made the voice {made[0]}. Add recordings now.")

        message = _message(work)
        if not made:
            return [message, gr.skip(), gr.skip(), *[gr.skip()] * (len(self.form.shown) + 2)]
        return [message, gr.update(choices=self.voices.names(), value=made[0]), "", *self._shown(made[0], {})]

    def _add(self, voice: Voice, files: list[str] | None) -> str:
        return _refused(voice.add(files or [], text=""), len(files or []))

    def _record(self, name: str | None, file: str | None, text: str) -> list[Any]:
        """Keep a recording of the microphone at once, and make room for the next one."""
        if not file:  # the room was made
            return [gr.skip()] * (len(self.form.shown) + 5)
        kept = self._act(lambda voice: _refused(voice.add([file], text=text or "", name="sentence"), 1), 2, name)
        kept[2] = ""  # the text of the next sentence is another one
        return kept

    def _set_language(self, voice: Voice, language: str) -> str:
        if language.strip().casefold() != voice.language:
            voice.set_language(language)
        return ""

    def _transcribe(self, voice: Voice, language: str) -> str:
        self._set_language(voice, language)
        if not voice.recordings():
            raise DataError("there are no recordings", hint="upload some, or record with the microphone")
        self.steps.start(voice, "transcribe", voice_steps.transcribe_words(voice))
        return ""

    def _stop(self, voice: Voice, step: str) -> str:
        self.steps.stop(voice, step)
        return ""

    def _save(self, name: str, table: list[list[Any]], loaded: dict[str, str], otherwise: str) -> list[Any]:
        """Write the texts that were changed in the page to the disk, at once; ``otherwise`` is said if none was."""
        written = dict(loaded)

        def work() -> str:
            voice = self.voices.open(name or "")
            for recording, text in view.changed_texts(table, loaded).items():
                voice.set_text(recording, text)
                written[recording] = text
            changed = [each for each in written if written[each] != loaded.get(each)]
            return view.said(f"Saved: {', '.join(changed)}." if changed else otherwise)

        message = _message(work)
        return [gr.skip() if message == view.said("") else message, written]

    def _listen(self, name: str, event: gr.SelectData) -> list[Any]:
        try:
            one = self.voices.open(name or "").recording(str((event.row_value or [""])[0]))
        except AmphionError:
            return ["", None]
        return [one.name, gr.update(value=view.playable(one.path), label=f"Listen to {one.name}")]

    def _remove(self, voice: Voice, chosen: str) -> str:
        if not chosen:
            raise DataError("no recording is chosen", hint="click on its row first")
        if self.steps.is_ours(voice, "train") or voice_steps.is_locked(voice, "train"):
            raise DataError("the voice is being trained with this recording", hint="stop the training first")
        voice.remove(chosen)
        return view.said(f"Removed {chosen}.")

    def _prepare(self, voice: Voice) -> str:
        voice.check_texts()
        self.steps.start(voice, "prepare", voice_steps.prepare_words(voice), of=digest_of(voice.recordings()))
        return ""

    def _recipe_changed(self, name: str) -> list[Any]:
        choice = next(each for each in self.choices if each.name == name)
        return [layout.about(choice), choice.steps]

    def _train(self, voice: Voice, recipe: str, steps: float | None, settings: str) -> str:
        choice = next((each for each in self.choices if each.name == recipe), None)
        if choice is None or choice.needs:
            raise DataError("this recipe cannot be used yet", hint=choice.needs if choice else "choose another one")
        overrides = voice_steps.override_lines(settings or "", are_free=self._own_settings)
        if (wanted := _count(steps)) and wanted != choice.steps:
            overrides = [f"engine.steps={wanted}", *overrides]
        voice_steps.begin_training(self.steps, voice, recipe, overrides)
        return ""

    def _go_on(self, voice: Voice, steps: float | None) -> str:
        run = voice_steps.newest_run(voice, self.steps)
        wanted = _count(steps)
        more = wanted if run and wanted and wanted > max(run.step, run.steps) else None
        voice_steps.go_on(self.steps, voice, more)
        return ""

    def _speak(self, user: gr.Request, name: str, text: str) -> Iterator[list[Any]]:
        """Speak with the newest run of the voice."""
        f = self.form
        unchanged = [gr.skip()] * len(f.result)
        try:
            run = voice_steps.newest_run(self.voices.open(name or ""), self.steps)
            if run is None or not run.can_speak:
                raise DataError("the voice has no checkpoint yet", hint="train it, and wait for the first validation")
        except AmphionError as error:
            yield [said(error), gr.skip(), *unchanged]
            return
        asked = Asked(self.task, (str(run.path),), {}, {self.text_field: text or ""})
        job, future = self._jobs.start(f"{user.session_hash}/own-voice", partial(self._studio.make, asked=asked))
        while not future.done():
            yield [view.said(f"{view.progress(0, 0, 'speech')} {job.status}"), gr.update(interactive=False), *unchanged]
            time.sleep(EVERY)
        try:
            (result,) = future.result()
        except Stopped:
            yield [view.said("Cancelled."), gr.update(interactive=True), *unchanged]
            return
        if result.error:
            yield [said(result.error), gr.update(interactive=True), *unchanged]
            return
        yield [view.said("Done."), gr.update(interactive=True), *shown_result(result)]


def _message(work: Callable[[], str]) -> str:
    """What ``work`` says, or its error as the command line prints it."""
    try:
        return work()
    except AmphionError as error:
        return said(error)
    except OSError as error:
        return said(explained(error) or clear_error(error, {}))


def _refused(reasons: list[str], count: int) -> str:
    added = count - len(reasons)
    if not reasons:
        return view.said(f"Added {added}.")
    return view.alert("\n".join([f"Added {added}; refused {len(reasons)}:", *reasons[:10]]))


def _count(value: float | None) -> int | None:
    return int(value) if value and value >= 1 else None


def _no_recognizer() -> str:
    """The command that installs a recogniser; empty where there is one."""
    try:
        open_recognizer()
    except AmphionError as error:
        return error.hint or error.message
    return ""
