"""Where training takes the frames of each token from: TextGrid files, another model, or an aligner trained along."""

from typing import Self

from pydantic import Field, model_validator

import amphion_core as amphion
from amphion_core.api import BaseConfig, TextToSpeech
from amphion_core.errors import RecipeError


class Durations(BaseConfig):
    """Where the frames of each token come from. Nothing is given: an aligner, trained along."""

    textgrids: str | None = Field(
        default=None, description="folder with NAME.TextGrid of each recording, as MFA writes"
    )
    tier: str = Field(default="phones", description="tier of the TextGrids that has the phones")
    model: str | None = Field(
        default=None, description="card, weights folder or run of a text-to-speech model that can align recordings"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.textgrids and self.model:
            raise ValueError("textgrids: give either a folder of TextGrids or a model, not both")
        return self

    @property
    def learned(self) -> bool:
        """Whether an aligner has to be trained along."""
        return self.model is None and self.textgrids is None


def open_teacher(place: str, model: TextToSpeech) -> TextToSpeech:
    """The frozen model that gives the durations. Raises RecipeError where it does not fit ``model``."""
    teacher = amphion.load(place)
    if not isinstance(teacher, TextToSpeech):
        raise RecipeError(
            f"trainer.durations.model: {place} is not a model for text to speech", hint="amphion list models 'tts/*'"
        )
    mine, given = model.config, teacher.config
    if mine.frontend != given.frontend:
        raise RecipeError(
            f"trainer.durations.model: the frontend of {place} is not the model's, so their tokens differ",
            hint=f"amphion info {place} shows its frontend; state the same one as model.frontend",
        )
    pairs = [(mine.mel.sample_rate, given.mel.sample_rate), (mine.mel.hop_length, given.mel.hop_length)]
    if any(here != there for here, there in pairs):
        raise RecipeError(
            f"trainer.durations.model: {place} has {pairs[0][1]} Hz and a hop of {pairs[1][1]}, and the model"
            f" {pairs[0][0]} Hz and {pairs[1][0]}",
            hint="state a mel of the same rate and hop as audio: in the recipe",
        )
    speakers = tuple(getattr(mine, "speakers", ()))
    if len(speakers) > 1 and speakers != tuple(getattr(given, "speakers", ())):
        raise RecipeError(
            f"trainer.durations.model: the speakers of {place} are not those of the model",
            hint="train both on the same speakers",
        )
    return teacher
