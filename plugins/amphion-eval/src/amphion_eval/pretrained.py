"""Load models with `transformers`, from a folder or a hub. With HF_HUB_OFFLINE set nothing is downloaded."""

import os
from pathlib import Path
from typing import Any

from amphion_core.errors import MissingPackage, WeightsError


def pretrained(name: str, device: str, *, model: str, processor: str) -> tuple[Any, Any]:
    """Load a model and its processor; returns the model in eval mode on ``device``, and the processor.

    ``name`` is a folder or a name on a hub; ``model`` and ``processor`` are names of classes of transformers. Raises
    MissingPackage without transformers, and WeightsError if the model cannot be loaded.
    """
    try:
        import transformers

        classes = [getattr(transformers, each) for each in (model, processor)]
    except (ImportError, AttributeError) as error:
        raise MissingPackage(
            f"{name} needs transformers: {error}", hint='pip install "amphion-eval[transformers]"'
        ) from error
    offline = Path(name).is_dir() or bool(os.environ.get("HF_HUB_OFFLINE"))
    try:
        network, inputs = (each.from_pretrained(name, local_files_only=offline) for each in classes)
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"the model {name!r} cannot be loaded: {str(error).splitlines()[0]}",
            hint="download it, and set the field model to its folder: --set METRIC.FIELD.model=FOLDER",
        ) from error
    return network.eval().to(device), inputs
