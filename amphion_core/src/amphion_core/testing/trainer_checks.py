"""The checks of trainers, on a few synthetic recordings and the trainer's example model.

A trainer states ``example_model``, the registry name of a model that it trains. The kit builds it from the model's
``example_config``, and the trainer from its own. Trainers that only take crops of one length state ``example_crop``.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from amphion_core import recipe as recipes, registry, yaml
from amphion_core.component import Utterance
from amphion_core.data.extraction import complete_features
from amphion_core.data.loader import Corpus, MicroBatch, Position
from amphion_core.data.manifest import Record
from amphion_core.errors import MissingPackage
from amphion_core.loading import load
from amphion_core.parts import ModelPart, TrainerPart
from amphion_core.recipe import Recipe
from amphion_core.registry import ComponentRef
from amphion_core.testing.base import Check, example_config, require

TEXTS = ("hello there", "how are you", "good day", "fine")
EQUAL = (1.0, 1.0, 1.0, 1.0)  # seconds of each recording
UNEQUAL = (1.2, 0.7, 1.0, 0.8)
NEAR = 2e-3  # largest difference of two updates, relative to the largest update: float32, and two updates in a row


def checks_for(ref: ComponentRef) -> Iterator[Check]:
    """The checks that apply to a reference."""
    if ref.kind == "trainers":
        yield from TRAINER


def check_example(ref: ComponentRef) -> None:
    """The trainer states an installed example model; its networks are found, and its collator pickles."""
    with tempfile.TemporaryDirectory() as folder:
        trainer, _ = _built(_recipe(ref, _prepare(ref, Path(folder), UNEQUAL)))
        require(trainer.networks(), "networks() is empty")
        trainer.partition()
        ForkingPickler.dumps(trainer.collator())


def check_split_batch(ref: ComponentRef) -> None:
    """A step of two micro-batches gives the losses and updates of the same step as one batch.

    It fails when a loss is not divided by a count of the whole step (``batch.totals``). Random numbers
    are constant here, so that only the split differs.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = _prepare(ref, Path(folder), EQUAL)
        whole, halves = _step(ref, prepared, [[0, 1, 2, 3]]), _step(ref, prepared, [[0, 1], [2, 3]])
        _compare(whole, halves, "a batch that is split", "divide by batch.totals")


def check_padding(ref: ComponentRef) -> None:
    """Items of different lengths give the same losses and updates in one padded batch as alone."""
    if ref.load().example_crop is not None:  # all items have one length, so there is no padding
        return
    with tempfile.TemporaryDirectory() as folder:
        prepared = _prepare(ref, Path(folder), UNEQUAL)
        pairs, alone = _step(ref, prepared, [[0, 1], [2, 3]]), _step(ref, prepared, [[0], [1], [2], [3]])
        _compare(pairs, alone, "padding", "mask each item by its lengths (to_frames: lengths=), divide by batch.totals")


def check_export(ref: ComponentRef) -> None:
    """Two steps of training in bf16 run through to the end, and the exported weights load and are the trained ones.

    In bf16, networks give bfloat16 tensors, which numpy does not have: a validation converts them with ``float()``.
    """
    if find_spec("accelerate") is None or find_spec("tensorboard") is None:
        raise MissingPackage("training needs accelerate and tensorboard", hint='pip install "amphion-core[train]"')
    from amphion_core.training import checkpoint, initial, run

    with tempfile.TemporaryDirectory() as folder:
        recipe = _recipe(ref, _prepare(ref, Path(folder), UNEQUAL), steps=2, precision="bf16")
        with _without_onednn():
            weights = run.train(recipe, Path(folder, "run"))
        require(weights is not None, "training was interrupted")
        assert weights is not None
        state = load(weights).state_dict()
        tensors, _ = checkpoint.read(Path(folder, "run", "checkpoints", "step-2"))
        trainer, _ = _built(recipes.read(str(Path(folder, "run", "config.yaml"))))
        initial.load_flat(trainer.networks(), tensors["networks"])
        trained = {id(parameter) for network in trainer.networks().values() for parameter in network.parameters()}
        exported = trainer.model.for_inference().state_dict()
        mine = {name for name, parameter in trainer.model.named_parameters() if id(parameter) in trained}
        for name in mine or exported:  # folding weight norms gives parameters new names
            if name in state:
                require(torch.allclose(state[name], exported[name], atol=1e-6), f"the export differs in {name}")


TRAINER: tuple[Check, ...] = (check_example, check_split_batch, check_padding, check_export)


@contextmanager
def _without_onednn() -> Iterator[None]:
    """Compute without oneDNN, whose bfloat16 convolutions of a few channels give NaN at random on CPUs with AMX."""
    backend: Any = torch.backends.mkldnn
    before, backend.enabled = backend.enabled, False
    try:
        yield
    finally:
        backend.enabled = before


class _ConstantRandomness(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every random draw gives a constant, so that no result depends on which items share a batch."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in func.tags and "perm" not in str(func) and isinstance(found, Tensor):
            found.fill_(0.5 if found.is_floating_point() else 0)
        return found


def _prepare(ref: ComponentRef, folder: Path, seconds: Sequence[float]) -> Path:
    """A prepared folder of synthetic voices at the trainer's rate, one for each of ``seconds``."""
    import soundfile

    component = ref.load()
    require(component.example_model, "the trainer states no example_model, the name of a model that it trains")
    model = registry.get("models", component.example_model)
    config = model.example_config()
    speakers = getattr(config, "speakers", ()) or ("ann", "bob")
    rate = int(component(example_config(ref), model=model(config)).sample_rate)
    captions = component.example_captions or TEXTS
    root = folder / "prepared"
    root.mkdir()
    lines = []
    for item, duration in enumerate(seconds):
        times = np.arange(int(duration * rate)) / rate
        pitch = 2 * np.pi * (110 + 40 * item) * times + np.sin(2 * np.pi * 5 * times)
        voice = sum(np.sin(k * pitch) / k for k in range(1, 12)) * (1.2 + np.sin(2 * np.pi * 3 * times)) * 0.05
        noise = np.random.default_rng(item).standard_normal(len(times)) * 0.003
        soundfile.write(root / f"{item}.wav", (voice + noise).astype(np.float32), rate, subtype="FLOAT")
        utterance = Utterance(
            str(item), f"{item}.wav", len(times) / rate, text=TEXTS[item], caption=captions[item], language="en",
            speaker=speakers[item % len(speakers)],
        )  # fmt: skip
        lines.append(Record(utterance, rate, f"{item}-{duration}").line() + "\n")
    (root / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    (root / "dev.jsonl").write_text(lines[0], encoding="utf-8")
    (root / "dataset.yaml").write_text(yaml.dump({"root": str(root)}), encoding="utf-8")
    return root


def _recipe(
    ref: ComponentRef, prepared: Path, *, steps: int = 1, micro_batches: int = 1, precision: str = "float32"
) -> Recipe:
    """The example as a recipe, with plain gradient descent, whose updates are as exact as the gradients."""
    component = ref.load()
    model = registry.get("models", component.example_model)
    return recipes.check(
        {
            "name": "example",
            "model": ModelPart(component.example_model, model.example_config()),
            "trainer": TrainerPart(ref.name, example_config(ref)),
            "data": {"root": str(prepared), "crop": component.example_crop, "budget": 10.0, "workers": 0},
            "optim": {"name": "sgd", "lr": 1e-2, "betas": [0.0, 0.0], "weight_decay": 0.0},
            "engine": {
                "steps": steps,
                "micro_batches": micro_batches,
                "device": "cpu",
                "validate_every": steps,
                "precision": precision,
            },
        }
    )


def _built(recipe: Recipe) -> tuple[Any, Corpus]:
    """The recipe's trainer around a model that always has the same weights, and its corpus with all features."""
    from amphion_core.training.run import build_trainer

    with torch.random.fork_rng():
        torch.manual_seed(0)
        trainer = build_trainer(recipe)
    corpus = Corpus(
        recipe.data, "train", rate=trainer.sample_rate, seed=0, hop=trainer.hop_length, features=trainer.features()
    )
    for _ in complete_features([cache for group in corpus.caches.values() for cache in group], processes=1):
        pass
    return trainer, corpus


def _step(
    ref: ComponentRef, prepared: Path, micro_batches: list[list[int]]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """One step of the engine with the given items in each micro-batch: the change of each parameter, and the logs."""
    from amphion_core.training import initial
    from amphion_core.training.engine import Engine
    from amphion_core.training.processes import Processes
    from amphion_core.training.run_folder import RunFolder

    recipe = _recipe(ref, prepared, micro_batches=len(micro_batches))
    trainer, corpus = _built(recipe)
    engine = Engine(recipe, trainer, corpus, None, RunFolder(prepared.parent / "run"), Processes("cpu"))
    before = {name: tensor.clone() for name, tensor in initial.flat(engine.networks).items()}
    collate, group = trainer.collator(), []
    for number, items in enumerate(micro_batches):
        batch = collate([corpus.example(item, (0, item)) for item in items])
        group.append((MicroBatch(Position(), number, tuple(items)), batch))
    with torch.random.fork_rng(), _ConstantRandomness():  # type: ignore[no-untyped-call]
        log = engine.step(1, group)
    after = initial.flat(engine.networks)
    change = {name: after[name] - tensor for name, tensor in before.items() if tensor.is_floating_point()}
    require(any(bool(value.any()) for value in change.values()), "a step changes no parameter")
    return change, {name: value for name, value in log.values.items() if not name.endswith("gradient_norm")}


def _compare(one: tuple[dict[str, Tensor], ...], other: tuple[dict[str, Tensor], ...], what: str, advice: str) -> None:
    for name, value in one[1].items():
        expected, found = float(value), float(other[1][name])
        close = abs(expected - found) <= NEAR * max(abs(expected), 1e-3)
        require(close, f"{what} changes {name} from {expected:.6g} to {found:.6g}; {advice}")
    for network in {name.partition(".")[0] for name in one[0]}:
        mine = [name for name in one[0] if name.startswith(f"{network}.")]
        largest = max(float(one[0][name].abs().max()) for name in mine if one[0][name].numel())
        for name in mine:
            error = float((one[0][name] - other[0][name]).abs().max()) if one[0][name].numel() else 0.0
            close = error <= NEAR * largest + 1e-7
            require(close, f"{what} changes the update of {name} by {error:.1e}, where the largest is {largest:.1e}")
