"""The recipe's ``data``: the prepared folders, how they are mixed, cut into batches, and augmented."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from amphion_core.config import BaseConfig
from amphion_core.parts import AugmentationPart


class Source(BaseConfig):
    """One prepared folder in a mixture."""

    root: str = Field(description="folder that amphion prepare wrote")
    weight: float | None = Field(
        default=None, gt=0, le=1e9, description="share of the audio time, relative to the others"
    )


class DataConfig(BaseConfig):
    """The audio that a run is trained on, and how it is divided into batches."""

    root: tuple[Source, ...] = Field(
        default=(), description="a folder that amphion prepare wrote, or a list of {root, weight}"
    )
    train: str = Field(default="train", description="split for training")
    dev: str | None = Field(default="dev", description="split for validation; null: no validation")
    dev_items: int | None = Field(
        default=16, gt=0, le=10**9, description="number of validation items, evenly spread; null: all"
    )
    crop: int | None = Field(
        default=None, gt=0, le=10**9, description="samples of a random crop of each item; null: no crop"
    )
    budget: float = Field(default=6.0, gt=0, le=1e6, description="seconds of audio in a micro-batch, padding included")
    jitter: float = Field(default=0.1, ge=0, lt=1, description="relative disorder of the sorting by duration")
    shortest: float = Field(default=0.0, ge=0, le=1e6, description="shorter items are not used, seconds")
    longest: float | None = Field(default=None, gt=0, le=1e6, description="longer items are not used, seconds")
    resample: bool = Field(default=False, description="resample audio of another rate; false: it is an error")
    augment: tuple[AugmentationPart, ...] = Field(default=(), description="augmentations of training audio, in order")
    cache: str | None = Field(default=None, description="folder of features; null: features/ in the prepared folder")
    workers: int | None = Field(
        default=None, ge=0, le=128, description="loader processes; null: none on a CPU, 4 on a GPU"
    )

    @field_validator("root", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        if isinstance(value, str):
            return ({"root": value},)
        if isinstance(value, Mapping | Source):
            return (value,)
        if isinstance(value, list | tuple):
            return tuple({"root": one} if isinstance(one, str) else one for one in value)
        if value is None:
            return ()
        raise ValueError("write one folder, or a list: [{root: FOLDER, weight: 1}, {root: FOLDER, weight: 2}]")

    @model_validator(mode="after")
    def _weights_agree(self) -> Self:
        given = [source.weight is not None for source in self.root]
        if any(given) and not all(given):
            raise ValueError("root: either every source has a weight, or none has")
        return self

    @model_validator(mode="after")
    def _some_lengths_fit(self) -> Self:
        if self.longest is not None and self.shortest > self.longest:
            raise ValueError(f"shortest: {self.shortest:g} s is above longest, {self.longest:g} s")
        return self
