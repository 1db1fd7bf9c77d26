"""The fields of generators that upsample in stages: HiFi-GAN, BigVGAN; checks of parallel residual blocks."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from amphion_core.api import BaseConfig, Mel, MelConfig

LARGEST = 1000  # kernel or dilation of a residual block, samples or frames; the papers have at most 11 and 5


class GeneratorConfig(BaseConfig):
    """What a model states of such a generator. The defaults are those of HiFi-GAN V1."""

    mel: Mel = Field(
        default=MelConfig.preset("hifigan_22k_80"),
        description="mel convention: bands F, hop in samples, rate in Hz",
    )
    channels: int = Field(
        default=512, gt=0, description="channels of the generator before its first stage; each stage halves them"
    )
    upsample_rates: tuple[int, ...] = Field(default=(8, 8, 2, 2), description="factor of each stage")
    upsample_kernels: tuple[int, ...] = Field(
        default=(16, 16, 4, 4), description="kernel of each stage, output samples"
    )
    resblock: Literal["1", "2"] = Field(
        default="1", description="residual block; 1: two convolutions for each dilation; 2: one"
    )
    resblock_kernels: tuple[int, ...] = Field(default=(3, 7, 11), description="kernels of the parallel blocks, samples")
    resblock_dilations: tuple[tuple[int, ...], ...] = Field(
        default=((1, 3, 5), (1, 3, 5), (1, 3, 5)), description="dilations of each parallel block, samples"
    )

    @model_validator(mode="after")
    def _stages_agree(self) -> Self:
        check_stages(self.mel.hop_length, self.channels, self.upsample_rates, self.upsample_kernels)
        if not keep_length(self.upsample_rates, self.upsample_kernels):
            raise ValueError("upsample_kernels: each needs the parity of its rate")
        check_blocks(self.resblock_kernels, self.resblock_dilations)
        return self


def keep_length(rates: tuple[int, ...], kernels: tuple[int, ...]) -> bool:
    """Whether every stage makes exactly ``rate`` samples of one; else it makes one more, at the end of its output."""
    return all((kernel - rate) % 2 == 0 for rate, kernel in zip(rates, kernels, strict=True))


def check_stages(hop: int, channels: int, rates: tuple[int, ...], kernels: tuple[int, ...]) -> None:
    """Raise ValueError unless the stages turn each frame into ``hop`` samples; see `keep_length` for the end."""
    if len(rates) != len(kernels):
        raise ValueError(f"upsample_kernels: {len(kernels)} kernels for {len(rates)} rates")
    if wrong := [rate for rate in rates if rate < 1]:
        raise ValueError(f"upsample_rates: {wrong[0]} is not above 0")
    if math.prod(rates) != hop:
        raise ValueError(f"upsample_rates: product {math.prod(rates)} is not mel.hop_length {hop}")
    for rate, kernel in zip(rates, kernels, strict=True):
        if kernel < rate:
            raise ValueError(f"upsample_kernels: {kernel} is below the rate {rate}, so some samples would be empty")
    if channels % 2 ** len(rates):
        raise ValueError(f"channels: {channels} cannot be halved {len(rates)} times")


def check_blocks(kernels: tuple[int, ...], dilations: tuple[tuple[int, ...], ...]) -> None:
    """Raise ValueError unless parallel residual blocks can be made of these, and keep the length."""
    if len(kernels) != len(dilations):
        raise ValueError(f"resblock_dilations: {len(dilations)} rows for {len(kernels)} kernels")
    if wrong := [kernel for kernel in kernels if not 1 <= kernel <= LARGEST]:
        raise ValueError(f"resblock_kernels: {wrong[0]} is not from 1 to {LARGEST}")
    if wrong := [each for row in dilations for each in row if not 1 <= each <= LARGEST]:
        raise ValueError(f"resblock_dilations: {wrong[0]} is not from 1 to {LARGEST}")
    if even := [kernel for kernel in kernels if kernel % 2 == 0]:
        raise ValueError(f"resblock_kernels: {even[0]} is even, and would shift the output")
    if not kernels or not all(dilations):
        raise ValueError("resblock_dilations: every block needs at least one dilation")
