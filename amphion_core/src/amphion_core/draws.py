"""Random numbers under a seed."""

import torch


def random_generator(seed: int | None, device: "torch.device | str" = "cpu") -> torch.Generator:
    """A source of random numbers on ``device``; the same seed gives the same numbers, and None others in each call."""
    generator = torch.Generator(device)
    if seed is None:
        generator.seed()
        return generator
    return generator.manual_seed(seed)
