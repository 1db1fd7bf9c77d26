"""SketchJudge: one small convolutional discriminator."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import BaseConfig, Discriminator


class SketchJudge(Discriminator):
    """Wave (B, 1, T) -> one score map and its features."""

    class Config(BaseConfig):
        """The size."""

        channels: int = Field(default=8, gt=0, description="channels of the first layer")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.first = nn.Conv1d(1, config.channels, 15, stride=4, padding=7)
        self.last = nn.Conv1d(config.channels, 1, 9, stride=4, padding=4)

    @classmethod
    def example_config(cls) -> Config:
        """Two channels."""
        return cls.Config(channels=2)

    def example_inputs(self) -> dict[str, Any]:
        """A short wave."""
        return {"wave": torch.linspace(-1, 1, 256).view(1, 1, -1)}

    def forward(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> scores and features."""
        hidden = torch.relu(self.first(wave))
        return [self.last(hidden)], [[hidden]]
