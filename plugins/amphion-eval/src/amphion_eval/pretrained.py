"""Models of transformers, from a folder or a hub; nothing is fetched with HF_HUB_OFFLINE."""

import os
from pathlib import Path
from typing import Any

from amphion_core.errors import WeightsError


def pretrained(name: str, device: str, model_class: Any, processor_class: Any) -> tuple[Any, Any]:
    """Model, in eval mode on ``device``, and processor from a folder or a hub. Raises WeightsError."""
    offline = Path(name).is_dir() or bool(os.environ.get("HF_HUB_OFFLINE"))
    try:
        model = model_class.from_pretrained(name, local_files_only=offline)
        processor = processor_class.from_pretrained(name, local_files_only=offline)
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"the model {name!r} cannot be loaded: {str(error).splitlines()[0]}",
            hint="download it once, and give its folder as the field model",
        ) from error
    return model.eval().to(device), processor
