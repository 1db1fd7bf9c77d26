"""Finds weights that others publish: a folder on this computer, or a name on the Hugging Face hub."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from amphion_core.checkpoints.folders import checkpoint_file
from amphion_core.errors import MissingPackage, WeightsError, first_line
from amphion_core.weights_cache import sha256

CHECKPOINTS = ("model.safetensors", "pytorch_model.bin")  # the first that a repository has
SETTINGS = ("config.json", "preprocessor_config.json")


def find_model(name: str, feature: str) -> Path:
    """The folder or file ``name``, or the folder of a repository of the hub, downloaded unless HF_HUB_OFFLINE is set.

    ``feature`` is the component that needs it, for the error. Raises WeightsError with the command that gets it.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    command = f"hf download {name} --local-dir FOLDER, then set the field model of {feature} to FOLDER"
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise WeightsError(
            f"{feature} needs the weights {name}, and there is no such folder or file",
            hint=f"set the field model of {feature} to the folder of a published model",
        )
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    def get(file: str) -> Path | None:
        try:
            return Path(hf_hub_download(name, file))
        except LocalEntryNotFoundError:  # a subclass of the next; the file may exist, but not on this disk
            raise
        except EntryNotFoundError:
            return None

    try:
        found = next(filter(None, map(get, CHECKPOINTS)), None)
        for file in SETTINGS if found else ():
            get(file)
    except Exception as error:
        offline = "HF_HUB_OFFLINE forbids the network" if constants.HF_HUB_OFFLINE else first_line(error)
        raise WeightsError(
            f"{feature} needs the weights {name}, which are not here: {offline}", hint=command
        ) from error
    if found is None:
        raise WeightsError(f"the repository {name} has none of the files {', '.join(CHECKPOINTS)}", hint=command)
    return found.parent


def read_settings(folder: Path, file: str) -> dict[str, Any]:
    """The settings in ``file`` of a model's folder; empty where there is no such file. Raises WeightsError."""
    path = (folder if folder.is_dir() else folder.parent) / file
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} cannot be read: {first_line(error)}", hint="download it again") from error


def weights_identity(name: str, feature: str) -> str:
    """``name`` with the digest of its file of weights, or "" where the weights are not on this computer."""
    from huggingface_hub import try_to_load_from_cache

    path = Path(name).expanduser()
    if not path.exists():
        if name.count("/") != 1:
            return ""
        cached = [try_to_load_from_cache(name, file) for file in CHECKPOINTS]
        path = next((Path(file) for file in cached if isinstance(file, str)), path)
    try:
        return f"{Path(name).name} {sha256(checkpoint_file(path))[:16]}"
    except (WeightsError, OSError):
        return ""


def require_transformers(feature: str) -> Any:
    """The package transformers. Raises MissingPackage with the command that installs it."""
    try:
        return import_module("transformers")
    except ImportError as error:
        raise MissingPackage(
            f"{feature} needs transformers: {error}", hint='pip install "amphion-svc[transformers]"'
        ) from error
