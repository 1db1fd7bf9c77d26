"""What broken inputs are made from: valid small files, one of each kind that a command reads."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import amphion_core as amphion
from amphion_core import yaml
from amphion_core.api import Audio
from amphion_core.cli.main import main
from amphion_core.weights import save

RATE = 22050
METADATA = "a1|He said hello.|He said hello.\na2|It costs $5.|It costs five dollars.\na3|Good bye.|Good bye.\n"


@dataclass(frozen=True)
class Ground:
    """Paths of the valid files; ``folder`` is free for the files of one broken input."""

    folder: Path
    audio: tuple[Path, ...]
    recordings: Path
    corpus: Path
    prepared: Path
    recipe: str
    vocoder: Path
    voices: tuple[Path, ...]
    checkpoints: tuple[tuple[str, str, Path], ...]


def lay(folder: Path) -> Ground:
    """Write the valid files into ``folder``, which must exist."""
    random = np.random.default_rng(0)
    time = np.arange(RATE // 3) / RATE
    wave = (0.3 * np.sin(2 * np.pi * 150 * time) + 0.01 * random.standard_normal(time.size)).astype(np.float32)
    clip = Audio(wave, RATE)
    audio = tuple(clip.save(folder / f"clip{suffix}") for suffix in (".wav", ".flac", ".ogg", ".mp3"))
    recordings, corpus = folder / "recordings", folder / "corpus"
    for place in (recordings, corpus / "wavs"):
        place.mkdir(parents=True)
        for name in ("a1", "a2", "a3"):
            clip.save(place / f"{name}.wav")
    (corpus / "metadata.csv").write_text(METADATA, encoding="utf-8")
    prepared = folder / "prepared"
    main(["prepare", "folder", str(recordings), str(prepared), "dev=0.3", "test=0", "--processes", "1"])
    vocoder = folder / "vocoder"
    fields = {"channels": 8, "upsample_rates": [8, 8, 4], "upsample_kernels": [16, 16, 8], "resblock_kernels": [3]}
    fields |= {"resblock": "2", "resblock_dilations": [[1, 2]]}
    save(amphion.build("vocoder/hifigan", **fields), vocoder)
    model = {"name": "vocoder/hifigan", **fields}
    judge = {"name": "discriminator/mpd", "channels": 2, "periods": [2]}
    recipe = yaml.dump({
        "name": "tiny", "audio": "hifigan_22k_80", "data": {"root": str(prepared), "crop": 4096, "budget": 0.2},
        "model": model, "trainer": {"name": "gan_vocoder", "discriminators": [judge], "metrics": []},
        "engine": {"steps": 1, "validate_every": 1, "log_every": 1}, "seed": 1,
    })  # fmt: skip
    return Ground(
        folder, audio, recordings, corpus, prepared, recipe, vocoder, _voices(folder), _checkpoints(folder, vocoder)
    )


def _voices(folder: Path) -> tuple[Path, ...]:
    """A tiny VITS for each text frontend, with random weights."""
    vits = amphion.get("models", "tts/vits")
    tiny = vits.example_config().model_dump(mode="json") | {"n_speakers": 1}
    found = []
    for frontend in ("cmudict", "characters", "espeak"):
        config = {"name": frontend}
        if frontend == "characters":
            config["symbols"] = ["_", *" abcdefghijklmnopqrstuvwxyz.,!?'"]
        if frontend == "espeak":
            config["symbols"] = ["_", *" .,!?'abdefhijklmnoprstuvwzæçðøŋɐɑɒɔəɚɛɜɡɪɫɲɹɾʃʊʌʒʔʰˈˌːθβχᵻ"]
        symbols = amphion.get("frontends", frontend).Config(**{k: v for k, v in config.items() if k != "name"}).symbols
        net = amphion.build("tts/vits", **tiny | {"frontend": config, "vocabulary": len(symbols)})
        found.append(save(net, folder / f"voice_{frontend}"))
    return tuple(found)


def _checkpoints(folder: Path, vocoder: Path) -> tuple[tuple[str, str, Path], ...]:
    """Publishers' checkpoints with their configs beside them: (architecture, layout, file)."""
    from safetensors.torch import load_file

    state = load_file(vocoder / "model.safetensors")
    published = {
        name.removeprefix("generator.")
        .replace("parametrizations.weight.original0", "weight_g")
        .replace("parametrizations.weight.original1", "weight_v"): tensor
        for name, tensor in state.items()
    }
    place = folder / "published"
    place.mkdir()
    torch.save({"generator": published}, place / "generator")
    config = {
        "resblock": "2", "upsample_rates": [8, 8, 4], "upsample_kernel_sizes": [16, 16, 8],
        "upsample_initial_channel": 8, "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 2]],
        "num_mels": 80, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": RATE, "fmin": 0,
        "fmax": 8000, "fmax_for_loss": None,
    }  # fmt: skip
    (place / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return (("vocoder/hifigan", "jik876", place / "generator"),)
