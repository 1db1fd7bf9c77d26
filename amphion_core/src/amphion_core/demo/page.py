"""The page of ``amphion demo``: a tab for each task, and one for the user's own voice."""

from collections.abc import Sequence

import gradio as gr

from amphion_core import registry
from amphion_core.demo import models
from amphion_core.demo.jobs import Jobs
from amphion_core.demo.results import Studio
from amphion_core.demo.tab import Tab, title_of
from amphion_core.demo.voice_layout import STYLE as VOICE_STYLE
from amphion_core.demo.voice_steps import Steps
from amphion_core.demo.voice_tab import TITLE, VoiceTab, missing, speaking_task
from amphion_core.demo.voices import Voices
from amphion_core.errors import AmphionError
from amphion_core.request_fields import is_recording, kind_of

HOUR = 3600
STYLE = (
    """
.amphion-error { border-left: 4px solid #b91c1c; padding: 0.4em 0.8em; }
.amphion-about { font-size: 0.85em; margin: 0.4em 0.6em 0; }
.amphion-audio .wrap { min-height: 6.5rem; font-size: 0.9em; }
progress { width: 8em; vertical-align: middle; }
"""
    + VOICE_STYLE
)


def build(
    names: Sequence[str], studio: Studio, jobs: Jobs, voices: Voices, steps: Steps, *, own_places: bool, queue: int
) -> gr.Blocks:
    """The page with the tabs of the named tasks. At most ``queue`` requests wait at once.

    ``own_places``: a user may name any folder of this computer as a model, and change any setting of a recipe.
    """
    with gr.Blocks(title="Amphion", analytics_enabled=False, delete_cache=(HOUR, 24 * HOUR)) as page:
        gr.Markdown("# Amphion\nEverything is computed on the computer that runs this page.")
        with gr.Tabs():
            for ref in in_order([registry.find("tasks", name) for name in names]):
                with gr.Tab(title_of(ref), id=ref.name):
                    Tab(ref, studio, jobs, own_places=own_places)
            if (speaking := speaking_task(names)) or not registry.names("tasks", "tts"):
                with gr.Tab(TITLE, id="own_voice"):
                    if absent := missing(speaking):
                        gr.HTML(absent)
                    else:
                        own = VoiceTab(speaking, voices, steps, studio, jobs, own_settings=own_places)
                        page.load(own.opened, None, own.outputs, queue=False, api_visibility="private")

        def leave(user: gr.Request) -> None:
            jobs.stop(f"{user.session_hash}/")

        page.unload(leave)
    page.queue(max_size=queue, api_open=False, default_concurrency_limit=1)
    return page


def in_order(refs: Sequence[registry.ComponentRef]) -> list[registry.ComponentRef]:
    """The tasks that a newcomer can try at once stand first: those that need no recording and have a model."""

    def key(ref: registry.ComponentRef) -> tuple[bool, bool, str]:
        try:
            request = ref.load().Request.model_fields.values()
        except AmphionError:  # the tab says what is wrong
            return True, True, ref.name
        needs = any(field.is_required() and is_recording(kind_of(field.annotation)) for field in request)
        return needs, not models.default(ref.name), ref.name

    return sorted(refs, key=key)


def theme() -> gr.themes.Base:
    """A theme with the reader's own fonts, so that nothing is fetched from elsewhere."""
    fonts = ["system-ui", "sans-serif"]
    chosen = gr.themes.Default(primary_hue="teal", font=fonts, font_mono=["ui-monospace", "monospace"])
    dark, light = "*neutral_600", "*neutral_300"  # the usual ones are too faint for many readers
    return chosen.set(
        block_info_text_color=dark, block_info_text_color_dark=light, body_text_color_subdued=dark,
        body_text_color_subdued_dark=light, block_label_text_color=dark, block_title_text_color=dark,
        button_primary_background_fill="*primary_700", button_primary_background_fill_hover="*primary_800",
    )  # fmt: skip
