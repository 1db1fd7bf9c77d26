"""The result of a run: the trained model as a weights folder."""

import shutil
from pathlib import Path

from torch import nn

from amphion_core import registry, weights
from amphion_core.errors import counted
from amphion_core.families import ModelArchitecture
from amphion_core.recipe import Recipe
from amphion_core.training import checkpoint, initial
from amphion_core.training.origins import origins
from amphion_core.training.run_folder import RunFolder
from amphion_core.training.state import TrainingState


def export(
    model: ModelArchitecture, state: TrainingState, run: RunFolder, *, recipe: Recipe, vocoder: str | None = None
) -> Path:
    """Write ``model`` into the run's ``weights`` folder and return the folder.

    The networks are those of the checkpoint with the best score, else the last; each is replaced by its average where
    there is one. Networks are modules of the model, so loading a network puts it at its path in the model's state.
    What is not trained is written as it is. ``vocoder`` is the one that validations used. The card says what the
    recipe trained on and started from, with the licences. Raises WeightsError when the checkpoint is damaged.
    """
    networks: dict[str, nn.Module] = dict(state.networks)
    if state.best.step is not None and state.best.step != state.step:
        tensors, _ = checkpoint.read(run.checkpoints / f"step-{state.best.step}")
        initial.load_flat(networks, tensors["networks"])
        initial.load_flat(state.averages, tensors.get("ema", {}))
    for name, averaged in state.averages.items():
        networks[name].load_state_dict(averaged.state_dict())
    folder = run.path / "weights"
    if folder.exists():
        shutil.rmtree(folder)
    title, step = registry.name_of(type(model)), state.best.step or state.step
    if vocoder and Path(vocoder).exists():
        vocoder = str(Path(vocoder).absolute())
    card = f"# {title}\n\nRecipe {recipe.name}, {counted(step, 'step')}.\n{origins(recipe)}"
    return weights.save(model, folder, card=card, vocoder=vocoder)
