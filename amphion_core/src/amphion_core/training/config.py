"""The recipe's ``optim`` and ``engine``: update rules, schedules, length of the run, devices. Does not import torch."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from amphion_core.config import BaseConfig

MOST = 2**31 - 1  # steps of a run, and counts of them


class Schedule(BaseConfig):
    """The factor of the learning rate as a function of the step s, counted from 1. Only plateau has a state.

    =========== ==========================================================================
    constant    1
    exponential gamma^floor((s - 1) / every)
    cosine      floor + (1 - floor) (1 + cos(pi p)) / 2, p the fraction of ``steps`` that is complete
    noam        sqrt(warmup) min(1 / sqrt(s), s / warmup^1.5), which is 1 at s = warmup
    plateau     gamma^k, k the number of times that ``patience`` validations gave no better score
    =========== ==========================================================================

    All except noam are multiplied by min(1, s / warmup).
    """

    name: Literal["constant", "exponential", "cosine", "noam", "plateau"] = Field(
        default="constant", description="how the learning rate changes"
    )
    warmup: int = Field(default=0, ge=0, le=MOST, description="steps over which the learning rate rises from 0")
    gamma: float | None = Field(default=None, gt=0, le=1, description="factor of exponential and plateau")
    every: int | None = Field(default=None, gt=0, le=MOST, description="steps between factors of exponential")
    steps: int | None = Field(default=None, gt=0, le=MOST, description="steps of cosine; null: those of the run")
    floor: float | None = Field(default=None, ge=0, le=1, description="factor at the end of cosine")
    patience: int | None = Field(
        default=None, gt=0, le=MOST, description="validations of plateau without a better score"
    )

    @model_validator(mode="after")
    def _fields_belong(self) -> Self:
        allowed = {"exponential": {"gamma", "every"}, "cosine": {"steps", "floor"}, "plateau": {"gamma", "patience"}}
        mine = allowed.get(self.name, set())
        for field in ("gamma", "every", "steps", "floor", "patience"):
            if field not in mine and getattr(self, field) is not None:
                raise ValueError(f"{field}: does not belong to the schedule {self.name}")
        for field in mine - {"steps", "floor"}:
            if getattr(self, field) is None:
                raise ValueError(f"{field}: the schedule {self.name} needs it")
        if self.name == "noam" and not self.warmup:
            raise ValueError("warmup: the schedule noam needs it")
        return self

    def factor(self, step: int, total: int, drops: int = 0) -> float:
        """The factor at ``step`` of a run of ``total`` steps; ``drops`` counts the plateaus so far."""
        if self.name == "noam":
            return math.sqrt(self.warmup) * min(step**-0.5, step * self.warmup**-1.5)
        warm = min(1.0, step / self.warmup) if self.warmup else 1.0
        if self.name == "exponential":
            assert self.gamma and self.every
            return warm * float(self.gamma ** ((step - 1) // self.every))
        if self.name == "cosine":
            floor, part = self.floor or 0.0, min(1.0, step / (self.steps or total))
            return warm * (floor + (1 - floor) * (1 + math.cos(math.pi * part)) / 2)
        return warm * float((self.gamma or 1.0) ** drops)


Decay = Annotated[float, Field(ge=0, lt=1)]


class GroupConfig(BaseConfig):
    """Overrides for the optimiser of one network; null inherits the common value."""

    lr: float | None = Field(default=None, gt=0, le=1000, description="learning rate")
    betas: tuple[Decay, Decay] | None = Field(default=None, description="decay rates of the moments")
    weight_decay: float | None = Field(default=None, ge=0, le=1000, description="decoupled weight decay")
    clip: float | None = Field(default=None, gt=0, le=1e9, description="largest norm of the gradient")


class OptimConfig(BaseConfig):
    """The optimiser of all networks; ``groups`` holds overrides for single networks."""

    name: Literal["adamw", "adam", "radam", "sgd"] = Field(
        default="adamw", description="update rule, as in torch.optim"
    )
    lr: float = Field(default=2e-4, gt=0, le=1000, description="learning rate before the schedule")
    betas: tuple[Decay, Decay] = Field(default=(0.9, 0.999), description="decay rates of the moments; sgd: momentum")
    eps: float = Field(default=1e-8, gt=0, le=1, description="added to the root of the second moment")
    weight_decay: float = Field(default=0.01, ge=0, le=1000, description="weight decay, decoupled with adamw")
    clip: float | None = Field(
        default=None, gt=0, le=1e9, description="largest norm of a network's gradient; null: no limit"
    )
    schedule: Schedule = Field(default=Schedule(), description="factor of the learning rate as a function of the step")
    groups: dict[str, GroupConfig] = Field(default_factory=dict, description="overrides by network name")
    freeze: tuple[str, ...] = Field(
        default=(),
        description="patterns of parameters that are not trained, by their names in the model or NETWORK.NAME",
    )

    def for_network(self, group: str) -> "OptimConfig":
        """This config with the overrides of the network ``group`` applied."""
        given = self.groups.get(group)
        return self.replace(**given.model_dump(exclude_none=True), groups={}) if given else self


class InitialWeights(BaseConfig):
    """Where one network, or one part of the model, takes its first weights from."""

    source: str = Field(description="a card, a weights folder, a run or a checkpoint of a run")
    part: str = Field(default="", description="path inside the source's model, such as decoder; empty: all of it")
    missing: Literal["error", "keep"] = Field(
        default="error", description="keep: parameters that the source lacks keep their initial values"
    )
    mel: Literal["same", "any"] = Field(
        default="same", description="any: accept weights that were trained on another mel convention"
    )


def _read_sources(value: Any) -> Any:
    """Every place as ``{source: place}``. Nested mappings, as overrides make them, get keys joined by dots."""
    if not isinstance(value, Mapping | str | None):
        raise ValueError("write a place, or places by network: {generator: PLACE}")
    if not isinstance(value, Mapping):
        return value
    found: dict[str, Any] = {}
    for name, given in value.items():
        if isinstance(given, str):
            found[name] = {"source": given}
        elif isinstance(given, Mapping) and not given.keys() & InitialWeights.model_fields.keys():
            found |= {f"{name}.{inner}": source for inner, source in _read_sources(given).items()}
        else:
            found[name] = given
    return found


class EngineConfig(BaseConfig):
    """Length of a run, batches, precision, device, checkpoints, and the weights that it begins with."""

    steps: int = Field(default=1000, gt=0, le=MOST, description="steps of the whole run")
    micro_batches: int = Field(
        default=1, gt=0, le=4096, description="micro-batches M of each step; a multiple of the number of processes"
    )
    precision: Literal["float32", "bf16"] = Field(default="float32", description="bf16: autocast of the forward pass")
    device: str = Field(default="auto", description="auto: a GPU if there is one; cpu, cuda, or one GPU such as cuda:1")
    deterministic: bool = Field(
        default=False,
        description="reproducible on a GPU: the same run gives the same weights; an operation that cannot is an error",
    )
    tf32: bool = Field(
        default=True,
        description="float32 products on a GPU's tensor cores, factors rounded to 11 significant bits; false: full",
    )
    cudnn_benchmark: bool = Field(
        default=False, description="time cuDNN's algorithms for each new input size; not with deterministic"
    )
    compile: bool = Field(
        default=False,
        description="compile the networks with torch.compile: minutes at the start, then faster; for fixed crops",
    )
    log_every: int = Field(default=10, gt=0, le=MOST, description="steps between lines of metrics")
    validate_every: int = Field(default=1000, gt=0, le=MOST, description="steps between validations")
    save_every: int | None = Field(
        default=None, gt=0, le=MOST, description="steps between checkpoints; null: validate_every"
    )
    keep_last: int = Field(default=3, gt=0, le=MOST, description="newest checkpoints that are kept, besides the best")
    monitor: str | None = Field(default=None, description="validation score that decides which checkpoint is best")
    patience: int | None = Field(
        default=None, gt=0, le=MOST, description="stop after so many validations without a better score"
    )
    ema: dict[str, float] = Field(
        default_factory=dict,
        description="networks of which a moving average is kept, each with its largest decay per step, such as 0.999; "
        "in step n the decay is at most n / (n + 9), so that the random start is soon forgotten",
    )
    init_from: Annotated[str | dict[str, InitialWeights] | None, BeforeValidator(_read_sources)] = Field(
        default=None,
        description="weights to begin with: a card, weights folder, run or checkpoint; or these by network or part",
    )

    @field_validator("device")
    @classmethod
    def _device_is_known(cls, device: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", device):
            raise ValueError(f"{device!r} is not auto, cpu, cuda or one GPU such as cuda:1")
        return device

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.patience and not self.monitor:
            raise ValueError("patience: needs monitor, the score that it waits for")
        for name, decay in self.ema.items():
            if not 0 < decay < 1:
                raise ValueError(f"ema.{name}: {decay} is not between 0 and 1")
        return self
