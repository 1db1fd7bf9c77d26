"""Training of VITS: a step beside Coqui's, and the monotonic alignment search beside others. Candidates take turns.

python benchmarks/vits_training.py search          16 texts of 100 tokens in 800 frames; also from and to a GPU
python benchmarks/vits_training.py step [ITEMS]    a step of the paper's network on one CPU thread; needs coqui-tts
python benchmarks/vits_training.py share [cuda]    which part of a step of the paper's network the search takes

The search needs the package monotonic-alignment-search (compiled Cython) for its comparison.
"""

import sys
import time
from typing import Any

import numpy as np
import torch
from side_by_side import medians
from torch import Tensor

from amphion_core import recipe as recipes
from amphion_core.component import Utterance
from amphion_core.data.batch import Batch, Example
from amphion_core.training.optim import optimizer
from amphion_core.training.run import build_trainer
from amphion_tts.models.alignment import monotonic_alignment

TEXT = "the birch canoe slid on the smooth planks and the dog"  # about as many tokens as two seconds of speech have
SECONDS = 2.0


def plain_search(scores: np.ndarray, tokens: int, frames: int) -> np.ndarray:
    """Algorithm 1 of Glow-TTS for one item, frame by frame and token by token: (N, L) -> path (N, L)."""
    best = np.full((frames, tokens), -np.inf, np.float32)
    best[0, 0] = scores[0, 0]
    for n in range(1, frames):
        for token in range(min(n + 1, tokens)):
            before = best[n - 1, token - 1] if token else -np.inf
            best[n, token] = scores[n, token] + max(best[n - 1, token], before)
    path, token = np.zeros_like(scores), tokens - 1
    for n in range(frames - 1, -1, -1):
        path[n, token] = 1
        if token and (token == n or best[n - 1, token] < best[n - 1, token - 1]):
            token -= 1
    return path


def search_by_item(scores: np.ndarray, tokens: int, frames: int) -> np.ndarray:
    """The same with all tokens of a frame in one numpy operation."""
    best = np.full((frames, tokens + 1), -np.inf, np.float32)
    best[0, 1] = scores[0, 0]
    for n in range(1, frames):
        best[n, 1:] = scores[n, :tokens] + np.maximum(best[n - 1, 1:], best[n - 1, :-1])
    path, token = np.zeros_like(scores), tokens - 1
    for n in range(frames - 1, -1, -1):
        path[n, token] = 1
        if token and (token == n or best[n - 1, token + 1] < best[n - 1, token]):
            token -= 1
    return path


def search() -> None:
    """The search of a batch of 16."""
    from monotonic_alignment_search import maximum_path

    torch.set_num_threads(1)
    torch.manual_seed(0)
    scores = torch.randn(16, 800, 100)
    tokens, frames = torch.randint(60, 101, (16,)), torch.randint(500, 801, (16,))
    tokens[0], frames[0] = 100, 800
    valid = (torch.arange(100) < tokens[:, None])[:, None] & (torch.arange(800) < frames[:, None])[..., None]
    mask = valid.mT.float()
    items = list(zip(scores.numpy(), tokens.tolist(), frames.tolist(), strict=True))
    candidates = {
        "ours, a batch in numpy": lambda: monotonic_alignment(scores, tokens, frames),
        "monotonic-alignment-search": lambda: maximum_path(scores.mT.contiguous(), mask),
        "numpy, item by item": lambda: [search_by_item(*item) for item in items],
    }
    times = medians(candidates, rounds=9)
    start = time.perf_counter()
    plain = [plain_search(*item) for item in items]
    times["plain loops"] = time.perf_counter() - start
    ours = monotonic_alignment(scores, tokens, frames)
    assert torch.equal(ours, maximum_path(scores.mT.contiguous(), mask).mT)
    assert all(np.array_equal(one, row) for one, row in zip(plain, ours.numpy(), strict=True))
    for name, seconds in times.items():
        ratio = seconds / times["ours, a batch in numpy"]
        print(f"{name:28} {1000 * seconds:8.1f} ms, {ratio:6.1f} x the time of ours")
    if torch.cuda.is_available():
        moved = scores.cuda()

        def on_gpu() -> None:
            monotonic_alignment(moved, tokens, frames)
            torch.cuda.synchronize()

        print(f"scores on a GPU, searched on its CPU: {1000 * medians({'gpu': on_gpu})['gpu']:.1f} ms")


def paper_trainer() -> Any:
    """The trainer of the recipe vits, with ids of 178 symbols as in the authors' voices."""
    recipe = recipes.read("vits", ["trainer.metrics=[]", "engine.steps=1"])
    torch.manual_seed(0)
    return recipe, build_trainer(recipe)


def batch_for(trainer: Any, items: int) -> Batch:
    """``items`` recordings of noise with the same text."""
    random = np.random.default_rng(0)
    samples = int(SECONDS * 22050) // 256 * 256
    examples = [
        Example(Utterance(str(n), "x.wav", SECONDS, text=TEXT), random.standard_normal(samples).astype(np.float32) / 10)
        for n in range(items)
    ]
    batch = trainer.collator()(examples)
    batch.totals = batch.counts
    return batch


def step_of(trainer: Any, recipe: Any, batch: Batch) -> Any:
    """A function that does one whole step as the engine does."""
    networks = trainer.networks()
    parameters = {name: list(network.parameters()) for name, network in networks.items()}
    steppers = {name: optimizer(recipe.optim, found, batch["wave"].device) for name, found in parameters.items()}

    def run() -> None:
        for update in trainer.training_step(batch, 1):
            steppers[update.group].zero_grad()
            update.loss.backward(inputs=parameters[update.group])
            steppers[update.group].step()

    return run


def coqui_step(ids: Tensor, wave: Tensor) -> Any:
    """One step of Coqui's trainer: both optimisers, with the spectrograms of the batch."""
    from TTS.tts.configs.vits_config import VitsConfig
    from TTS.tts.models.vits import Vits

    model = Vits(VitsConfig())
    model.train()
    criteria = model.get_criterion()
    generator = [value for name, value in model.named_parameters() if not name.startswith("disc.")]
    steppers = [torch.optim.AdamW(group, 2e-4, (0.8, 0.99), 1e-9) for group in (model.disc.parameters(), generator)]

    def run() -> None:
        batch = model.format_batch_on_device(
            {"waveform": wave[:, None], "waveform_rel_lens": torch.ones(len(wave)), "tokens": ids,
             "token_lens": torch.full((len(ids),), ids.shape[1]), "d_vectors": None, "speaker_ids": None,
             "language_ids": None}
        )  # fmt: skip
        for index, stepper in enumerate(steppers):
            stepper.zero_grad()
            _, losses = model.train_step(batch, criteria[index], index)
            losses["loss"].backward()
            stepper.step()

    run.size = sum(value.numel() for value in model.parameters())  # type: ignore[attr-defined]
    return run


def step(items: int) -> None:
    """A step of both, in turns."""
    torch.set_num_threads(1)
    recipe, trainer = paper_trainer()
    batch = batch_for(trainer, items)
    theirs = coqui_step(batch["ids"] % 40, batch["wave"])  # its table may be smaller, which costs nothing
    ours = step_of(trainer, recipe, batch)
    times = medians({"ours": ours, "coqui-tts": theirs}, rounds=3)
    size = sum(value.numel() for network in trainer.networks().values() for value in network.parameters())
    print(f"{items} items of {SECONDS} s, {batch['ids'].shape[1]} tokens; parameters {size:,} and {theirs.size:,}")
    print(f"ours {times['ours']:.2f} s, coqui-tts {times['coqui-tts']:.2f} s a step on one thread")
    print(f"coqui-tts takes {times['coqui-tts'] / times['ours']:.2f} x the time of ours")


def share(device: str, items: int) -> None:
    """The search's part of a step."""
    from amphion_tts.models import vits

    recipe, trainer = paper_trainer()
    for network in trainer.networks().values():
        network.to(device)
    batch = batch_for(trainer, items).to(torch.device(device))
    batch.totals = batch.counts
    run, spent = step_of(trainer, recipe, batch), [0.0]

    def synchronize() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def timed(*inputs: Tensor) -> Tensor:
        synchronize()
        start = time.perf_counter()
        found = monotonic_alignment(*inputs)
        synchronize()
        spent[0] += time.perf_counter() - start
        return found

    def whole() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            run()
        synchronize()

    total = medians({"step": whole}, rounds=5)["step"]
    vits.monotonic_alignment = timed
    for _ in range(5):
        whole()
    print(f"{items} items on {device}: a step {1000 * total:.0f} ms, of which the search {200 * spent[0]:.1f} ms")


if __name__ == "__main__":
    command, *rest = sys.argv[1:] or ["search"]
    if command == "step":
        step(int(rest[0]) if rest else 2)
    elif command == "share":
        share(rest[0] if rest else "cpu", 32 if rest else 2)
    else:
        search()
