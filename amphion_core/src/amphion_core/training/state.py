"""The state of a run: everything that changes while it trains, and that a checkpoint stores."""

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from amphion_core.data.loader import Position


@dataclass(slots=True)
class Best:
    """The best validation score so far, and how many validations have passed without a better one."""

    step: int | None = None  # the step that had the best score
    score: float | None = None
    waited: int = 0  # validations since then
    since_drop: int = 0  # validations since then, or since the last drop of the learning rate
    drops: int = 0  # how often the schedule "plateau" has lowered the learning rate
    validated: int | None = None  # the last validation that is counted here

    def judge(self, step: int, score: float | None, *, higher_is_better: bool, patience: int | None) -> bool:
        """Count the validation of ``step``; True if its score is the best. ``score`` None: it was not defined.

        ``patience`` is that of the schedule "plateau", in validations.
        """
        self.validated = step
        sign = 1 if higher_is_better else -1
        if score is not None and (self.score is None or sign * score > sign * self.score):
            self.step, self.score, self.waited, self.since_drop = step, score, 0, 0
            return True
        self.waited += 1
        self.since_drop += 1
        if patience and self.since_drop >= patience:
            self.drops += 1
            self.since_drop = 0
        return False


@dataclass(slots=True)
class TrainingState:
    """What a run has reached. ``averages`` are the networks' moving averages, where the recipe asks for them.

    ``paths`` states where in the model each network lies, see ``partition.paths_in_model``. ``identity`` is what must
    be the same for the run to be continued: the data and its plan, the seed, the frozen weights.
    """

    networks: dict[str, nn.Module]
    averages: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    paths: dict[str, str | None]
    identity: dict[str, Any]
    position: Position = field(default_factory=Position)
    best: Best = field(default_factory=Best)

    @property
    def step(self) -> int:
        """The last step that is complete; 0 before the first."""
        return self.position.step - 1

    def as_json(self) -> dict[str, Any]:
        """All but the tensors, as it is written into ``state.json``."""
        return {
            "step": self.step, "position": {"epoch": self.position.epoch, "epoch_step": self.position.epoch_step},
            "best": asdict(self.best), "networks": self.paths, "identity": self.identity,
        }  # fmt: skip

    def restore(self, stored: dict[str, Any]) -> None:
        """Take the position and the best score from what ``as_json`` gave."""
        self.position = Position(stored["step"] + 1, stored["position"]["epoch"], stored["position"]["epoch_step"])
        self.best = Best(**stored["best"])
