"""The components of the tab "Your own voice", and how they show what ``voice_view`` has read from the disk."""

import html
from collections.abc import Sequence
from typing import Any

import gradio as gr

from amphion_core.demo import voice_steps, voice_view as view
from amphion_core.demo.tab import CODE, result_parts
from amphion_core.demo.voice_steps import Choice
from amphion_core.demo.voices import MOST_RECORDINGS

STYLE = """
.amphion-curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 0.75rem; }
.amphion-curves figure { margin: 0; }
.amphion-curves .chart { width: 100%; height: auto; }
.amphion-curves .axis { fill: none; stroke: currentColor; }
.amphion-curves .tick { font: 12px system-ui, sans-serif; fill: currentColor; }
.amphion-curves .line { fill: none; stroke-width: 2; }
.amphion-curves .line-a { stroke: #0d9488; color: #0d9488; }
.amphion-curves .line-b { stroke: #c2410c; color: #c2410c; }
.amphion-curves .line-c { stroke: #4f46e5; color: #4f46e5; }
.amphion-curves .line-d { stroke: #be185d; color: #be185d; }
.amphion-curves .line-b, .amphion-curves .line-d { stroke-dasharray: 7 3; }
.amphion-curves .legend { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0 1rem; }
.amphion-curves .legend i { display: inline-block; width: 1.6rem; border-top: 3px solid; margin-right: 0.35rem;
  vertical-align: middle; }
"""
CONSENT = "Record only a person who agrees to it, and say of what you publish that it is synthetic."


class Form:
    """Lays the tab out. ``shown`` are the components that show the state of a voice; see ``updates``."""

    def __init__(self, choices: Sequence[Choice], no_recognizer: str, root: str, *, own_settings: bool) -> None:
        self.commands: list[Any] = []
        gr.Markdown(
            f"From recordings to a voice. Everything is kept in the folder `{root}`, so that you can close this page, "
            f"and come back later. {CONSENT}"
        )
        self.timer = gr.Timer(2.0)
        self.seen, self.loaded = gr.State({}), gr.State({})
        self._voice()
        self._recordings()
        self._texts(no_recognizer)
        self._prepare()
        self._train(choices, own_settings=own_settings)
        self._speak()
        self.shown = [
            self.language, self.summary, self.table, self.transcribe, self.stop_transcribing, self.state_texts,
            self.prepare, self.state_prepare, self.train, self.go_on, self.stop, self.state_train, self.curve,
            *self.samples, self.speak, *self.commands,
        ]  # fmt: skip

    def _voice(self) -> None:
        with gr.Row(equal_height=True):
            self.voice = gr.Dropdown(
                [], label="Voice", info="the one that was changed last is the first", elem_id="voice"
            )
            self.new_name = gr.Textbox(
                label="Name of a new voice", info="letters, digits, - and _", max_lines=1, elem_id="voice-name"
            )
            self.make = gr.Button("Make a new voice", scale=0, min_width=180, elem_id="voice-make")
        self.said_voice = gr.HTML(elem_id="voice-said", padding=False)

    def _recordings(self) -> None:
        gr.Markdown("### 1. Record")
        with gr.Row():
            with gr.Column():
                about(f"Upload recordings: WAV, FLAC or MP3, one sentence each, at most {MOST_RECORDINGS}. "
                      "Long recordings are cut at their pauses.", as_component=True)  # fmt: skip
                self.upload = gr.File(
                    label="Upload recordings", file_count="multiple", height=140, elem_id="voice-upload"
                )
            with gr.Column():
                self.read_text = gr.Textbox(
                    label="Sentence that you will read", info="optional: its text is then known", elem_id="voice-read"
                )
                self.microphone = gr.Audio(
                    label="Record a sentence", sources=["microphone"], type="filepath", format="wav", buttons=[],
                    elem_id="voice-microphone", elem_classes="amphion-audio",
                )  # fmt: skip
        self.said_recordings, self.summary = (
            gr.HTML(elem_id="voice-recordings", padding=False),
            gr.HTML(elem_id="voice-summary", padding=False),
        )

    def _texts(self, no_recognizer: str) -> None:
        gr.Markdown("### 2. Write down what is said")
        if no_recognizer:
            about(f"No recogniser is installed, so write the texts yourself, or: {no_recognizer}", as_component=True)
        with gr.Row(equal_height=True):
            self.language = gr.Textbox("en", label="Language", info="code such as en or de", elem_id="voice-language")
            self.transcribe = gr.Button("Transcribe", variant="primary", min_width=180, elem_id="voice-transcribe")
            self.stop_transcribing = gr.Button("Stop", min_width=120, elem_id="voice-stop-transcribing")
        self._command("Transcribe")
        self.state_texts, self.said_texts = (
            gr.HTML(elem_id="voice-texts", padding=False),
            gr.HTML(elem_id="voice-texts-said", padding=False),
        )
        about("Correct the texts: double-click on one, type, and press Enter. Each is saved at once. A click on a row "
              "plays its recording.", as_component=True)  # fmt: skip
        self.table = gr.Dataframe(
            headers=view.HEADERS, datatype=["str", "number", "str", "str"], type="array", interactive=True,
            static_columns=[index for index in range(len(view.HEADERS)) if index != view.TEXT], label="Texts",
            column_widths=["20%", "10%", "50%", "20%"], wrap=True, max_height=420, row_count=0, buttons=[],
            elem_id="voice-table",
        )  # fmt: skip
        self.chosen = gr.State("")
        with gr.Row(equal_height=True):
            self.player = gr.Audio(
                label="Listen to the chosen recording", interactive=False, buttons=[], elem_id="voice-player"
            )
            with gr.Column():
                self.save = gr.Button("Save the texts", elem_id="voice-save")
                self.remove = gr.Button("Remove the chosen recording", elem_id="voice-remove")

    def _prepare(self) -> None:
        gr.Markdown("### 3. Prepare")
        self.prepare = gr.Button("Prepare", variant="primary", elem_id="voice-prepare")
        self._command("Prepare")
        self.state_prepare = gr.HTML(elem_id="voice-prepared", padding=False)
        self.said_prepare = gr.HTML(elem_id="voice-prepare-said", padding=False)

    def _train(self, choices: Sequence[Choice], *, own_settings: bool) -> None:
        gr.Markdown("### 4. Train")
        first = choices[0]
        with gr.Row():
            self.recipe = gr.Dropdown(
                [each.name for each in choices], value=first.name, label="Recipe", elem_id="voice-recipe"
            )
            self.steps = gr.Number(first.steps, label="Steps", precision=0, minimum=1, elem_id="voice-steps")
        self.about_recipe = gr.HTML(about(first), padding=False)
        with gr.Accordion("Own settings", open=False, visible=own_settings, elem_id="voice-more"):
            self.settings = gr.Textbox(
                label="Settings of the recipe", lines=3, elem_id="voice-settings",
                info="NAME=VALUE in each line, as on the command line, such as optim.lr=1e-4",
            )  # fmt: skip
        with gr.Row():
            self.train = gr.Button("Train", variant="primary", elem_id="voice-train")
            self.go_on = gr.Button("Go on", elem_id="voice-go-on")
            self.stop = gr.Button("Stop, and keep what is learned", elem_id="voice-stop")
        self._command("Train, and go on")
        self.state_train, self.said_train = (
            gr.HTML(elem_id="voice-training", padding=False),
            gr.HTML(elem_id="voice-train-said", padding=False),
        )
        self.curve = gr.HTML(elem_id="voice-curve", padding=False)
        with gr.Row():
            self.samples = [
                gr.Audio(visible=False, interactive=False, buttons=[], elem_id=f"voice-sample-{index}")
                for index in range(view.MOST_SAMPLES)
            ]

    def _command(self, step: str) -> None:
        """The command line of a step."""
        label = f"{step}: the same on the command line"
        self.commands.append(gr.Code(label=label, language="shell", visible=False, **CODE))

    def _speak(self) -> None:
        gr.Markdown("### 5. Speak")
        self.text = gr.Textbox("This is my voice.", label="Text to speak", lines=3, elem_id="voice-text")
        self.speak = gr.Button("Speak", variant="primary", elem_id="voice-speak")
        self.said_speak = gr.HTML(elem_id="voice-speak-said", padding=False)
        self.result = result_parts("voice-result", "Result")

    def updates(self, found: view.View | None, seen: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Updates of ``shown``, and what is shown then. Parts that are as they were ``seen`` are skipped."""
        parts = _parts(found)
        now = {name: key for name, (key, _) in parts.items()}
        values: list[Any] = []
        for name, (key, made) in parts.items():
            width = _WIDTHS[name]
            values += made() if seen.get(name) != key else [gr.skip()] * width
        now["transcribing"] = found is not None and found.outcomes["transcribe"].status == "running"
        return values, now


_WIDTHS = {
    "language": 1, "summary": 1, "table": 1, "texts": 3, "prepare": 2, "train": 4, "curve": 1,
    "samples": view.MOST_SAMPLES, "speak": 1, "commands": 3,
}  # fmt: skip


def _parts(found: view.View | None) -> dict[str, tuple[Any, Any]]:
    """By name: what a part depends on, and a function that makes its updates."""
    if found is None:
        return {name: (None, made) for name, made in _empty().items()}
    v = found
    busy = v.is_busy
    rows = view.rows(v.recordings)
    transcribe, prepare, train = (v.outcomes[step] for step in voice_steps.STEPS)
    texts = view.transcription(transcribe, v.recordings)
    prepared = view.preparation(v.voice, prepare, v.digest)
    training = view.training(v.run, train, v.points, ours=v.ours["train"], stopping=v.stopping)
    summary = view.summary_of(v.recordings)
    edit = transcribe.status != "running"
    can_stop = v.ours["train"] and not v.stopping
    speaks = v.run is not None and v.run.can_speak
    place = str(v.run.path) if v.run else ""
    lines = _commands(v)
    return {
        "language": ([v.voice.name, v.voice.language], lambda: [v.voice.language]),
        "summary": (summary, lambda: [summary]),
        "table": ([rows, edit], lambda: [gr.update(value=rows, interactive=edit)]),
        "texts": (
            [texts, busy, v.ours["transcribe"]],
            lambda: [gr.update(interactive=not busy), gr.update(interactive=v.ours["transcribe"]), texts],
        ),
        "prepare": ([prepared, busy], lambda: [gr.update(interactive=not busy), prepared]),
        "train": (
            [training, busy, v.can_go_on, can_stop],
            lambda: [
                gr.update(interactive=not busy), gr.update(interactive=v.can_go_on),
                gr.update(interactive=can_stop), training,
            ],
        ),
        "curve": ([place, len(v.points)], lambda: [view.charts(v.points)]),
        "samples": ([place, v.sample_step, len(v.samples)], lambda: _sample_updates(v)),
        "speak": (speaks, lambda: [gr.update(interactive=speaks)]),
        "commands": (lines, lambda: [gr.update(value=line, visible=bool(line)) for line in lines]),
    }  # fmt: skip


def _empty() -> dict[str, Any]:
    """The updates of each part while no voice is chosen."""
    off = gr.update(interactive=False)
    return {
        "language": lambda: [gr.skip()],
        "summary": lambda: [view.said("Make a voice, or choose one.")],
        "table": lambda: [gr.update(value=[], interactive=False)],
        "texts": lambda: [off, off, ""],
        "prepare": lambda: [off, ""],
        "train": lambda: [off, off, off, ""],
        "curve": lambda: [""],
        "samples": lambda: [gr.update(visible=False)] * view.MOST_SAMPLES,
        "speak": lambda: [off],
        "commands": lambda: [gr.update(visible=False)] * 3,
    }


def _sample_updates(found: view.View) -> list[Any]:
    made = []
    for path in found.samples:
        label = f"Step {found.sample_step:,}: {path.stem.replace('_', ' ')}"
        made.append(gr.update(value=view.playable(path), label=label, visible=True))
    return made + [gr.update(value=None, visible=False)] * (view.MOST_SAMPLES - len(made))


def _commands(found: view.View) -> list[str]:
    """The command line of each step, as it was run last, else as it would be run."""
    voice = found.voice
    planned = voice_steps.command_line(voice_steps.transcribe_words(voice))
    prepare = voice_steps.command_line(voice_steps.prepare_words(voice))
    return [planned, prepare, found.outcomes["train"].command]


def about(text: str | Choice, *, as_component: bool = False) -> str:
    """A small line of text, such as that of a recipe."""
    if isinstance(text, Choice):
        needs = f" It needs: {text.needs}" if text.needs else ""
        text = f"{text.title}{needs}"
    line = f"<p class='amphion-about'>{html.escape(text)}</p>"
    if as_component:
        gr.HTML(line, padding=False)
    return line
