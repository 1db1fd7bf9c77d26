"""The recipe's ``data``: prepared folders, how they are cut and mixed, and what is done to the audio."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from amphion_core.config import BaseConfig
from amphion_core.parts import AugmentationPart


class Source(BaseConfig):
    """One prepared folder in a mixture."""

    root: str = Field(description="folder that amphion prepare wrote")
    weight: float | None = Field(default=None, gt=0, description="share of the audio time, relative to the others")


class DataConfig(BaseConfig):
    """Which audio a run learns from, and in what portions."""

    root: tuple[Source, ...] = Field(
        default=(), description="a folder that amphion prepare wrote, or a list of {root, weight}"
    )
    train: str = Field(default="train", description="split that is learned from")
    dev: str | None = Field(default="dev", description="split that is validated on; null: no validation")
    dev_items: int | None = Field(default=16, gt=0, description="how many items are validated on, evenly spread")
    crop: int | None = Field(default=None, gt=0, description="samples taken of every item, at random; null: all")
    budget: float = Field(default=6.0, gt=0, description="seconds of audio a micro-batch, padding counted")
    jitter: float = Field(default=0.1, ge=0, lt=1, description="disorder of the sorting by duration, relative")
    shortest: float = Field(default=0.0, ge=0, description="items shorter than this are left out, seconds")
    longest: float | None = Field(default=None, gt=0, description="items longer than this are left out, seconds")
    resample: bool = Field(default=False, description="bring audio of another rate to the model's; else an error")
    augment: tuple[AugmentationPart, ...] = Field(default=(), description="what is done to training audio, in order")
    cache: str | None = Field(default=None, description="folder of features; null: features/ in the prepared folder")
    workers: int | None = Field(default=None, ge=0, description="loader processes; null: none on a CPU, 4 on a GPU")

    @field_validator("root", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        if isinstance(value, str):
            return ({"root": value},)
        return tuple({"root": one} if isinstance(one, str) else one for one in value) if value else ()

    @model_validator(mode="after")
    def _weights_agree(self) -> Self:
        given = [source.weight is not None for source in self.root]
        if any(given) and not all(given):
            raise ValueError("root: either every source has a weight, or none has")
        return self
