"""Latent diffusion: time and memory of each sampler, bfloat16, and a training step against a loop of diffusers alone.

The networks have random weights, so the table says what a sound costs, not how it sounds; `amphion eval` measures that.
Times are processor times of one thread. The memory is the largest of the process so far, so samplers run from few steps
to many. Run: python benchmarks/text_to_audio.py [--recipe audioldm_small] [--seconds 10] [--rounds 3]
"""

import argparse
import copy
import resource
import time
from functools import partial
from typing import Any

import torch
from side_by_side import medians

from amphion_core import recipe as recipes
from amphion_core.api import Batch, TextCondition
from amphion_core.modules.diffusion import Sampler

SAMPLERS: tuple[tuple[Sampler, int], ...] = (
    ("dpm_solver", 10), ("dpm_solver", 20), ("ddim", 20), ("pndm", 20), ("ddim", 50), ("ddim", 200),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="audioldm_small")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--items", type=int, default=4, help="items of a training step")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe = recipes.check(
        recipes.read(args.recipe).model_dump(mode="json")
        | {"trainer": {"name": "latent_diffusion", "min_snr": 5}, "engine": {"steps": 1}}
    )
    assert recipe.trainer is not None
    trainer = recipe.trainer.build(model=recipe.model.build())
    sampling(trainer.model, args.seconds)
    bfloat16(trainer.model, args.seconds, args.rounds)
    step(trainer, args.items, args.rounds)


def sampling(net: Any, seconds: float) -> None:
    """Prints the processor time of a sound, with guidance, for each sampler and number of steps."""
    net = net.for_inference()
    condition = captions(1, net.config.condition_dim)
    print("| sampler | steps | seconds of a thread | largest memory, MB |")
    print("| --- | --- | --- | --- |")
    for sampler, steps in SAMPLERS:
        controls = net.controls({"sampler": sampler, "steps": steps})
        start = time.process_time()
        net.sample(condition, duration=seconds, negative=condition, seed=0, controls=controls)
        used = time.process_time() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {sampler} | {steps} | {used:.2f} | {memory:.0f} |", flush=True)


def bfloat16(net: Any, seconds: float, rounds: int) -> None:
    """Prints the processor time of a sound in float32 and in bfloat16, with ten steps of DPM-Solver++ and guidance."""
    condition = captions(1, net.config.condition_dim)

    def made(net: Any) -> None:
        controls = net.controls({"sampler": "dpm_solver", "steps": 10})
        net.sample(condition, duration=seconds, negative=condition, seed=0, controls=controls)

    nets = {"float32": copy.deepcopy(net).for_inference(), "bf16": copy.deepcopy(net).for_inference("bf16")}
    calls = {name: partial(made, each) for name, each in nets.items()}
    times = medians(calls, rounds=rounds, clock=time.process_time)
    print(f"\nfloat32 {times['float32']:.2f} s, bf16 {times['bf16']:.2f} s", end="")
    print(f", ratio {times['float32'] / times['bf16']:.2f}", flush=True)


def step(trainer: Any, items: int, rounds: int) -> None:
    """Prints the time of a training step by the time of the same step written with diffusers alone."""
    net = trainer.model.train().requires_grad_(True)
    net.autoencoder.requires_grad_(False)
    parameters = list(net.unet.parameters())
    wave = torch.randn(items, trainer.hop_length * 60) * 0.1
    lengths, count = torch.full((items,), wave.shape[1]), {"items": items}
    texts = {"caption": ("a dog barks",) * items}
    batch = Batch(tuple(map(str, range(items))), {"wave": wave, "lengths": lengths}, count, count, texts)
    posterior = trainer._posterior(batch)
    trainer._posterior = lambda batch: posterior  # latents come from a cache in training
    condition = trainer.condition(batch)
    levels = net.config.diffusion.levels()
    pooled = condition.pooled if net.unet.uses_pooled else None
    states = condition.states if net.unet.uses_context else None

    def ours() -> None:
        for update in trainer.training_step(batch, 1):
            update.loss.backward(inputs=parameters)

    def bare() -> None:
        latents = posterior.mean + (0.5 * posterior.log_variance).exp() * torch.randn_like(posterior.mean)
        steps, noise = torch.randint(1000, (items,)), torch.randn_like(latents)
        level = levels[steps, None, None, None]
        noisy = level.sqrt() * latents + (1 - level).sqrt() * noise
        found = net.unet.network(noisy, steps, encoder_hidden_states=states, class_labels=pooled).sample
        (found - noise).square().mean().backward()

    times = medians({"ours": ours, "bare": bare}, rounds=rounds, clock=time.process_time)
    print(f"\nstep of {items} items: {times['ours']:.3f} s, bare loop {times['bare']:.3f} s", end="")
    print(f", ratio {times['ours'] / times['bare']:.3f}")


def captions(count: int, size: int) -> TextCondition:
    """Random captions of one state."""
    vectors = torch.randn(count, size, generator=torch.Generator().manual_seed(0))
    return TextCondition(vectors[:, None], torch.ones(count, 1, dtype=torch.bool), vectors)


if __name__ == "__main__":
    main()
