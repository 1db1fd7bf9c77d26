"""Vocos on a CPU: our speed against the author's package with the same weights, and the greatest difference.

Needs the package: pip install --no-deps vocos encodec einops huggingface_hub torchaudio
Run: python benchmarks/vocos_speed.py [cpu-time]     (cpu-time: processor time on one thread, for a busy computer)
"""

import sys
import time
from typing import Any

import torch
from side_by_side import busy_process, medians

import amphion_core as amphion  # before vocos: torchaudio then loads beside a CPU build of torch too

ARGUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "feature_extractor": (
        "feature_extractors.MelSpectrogramFeatures",
        {"sample_rate": 24000, "n_fft": 1024, "hop_length": 256, "n_mels": 100, "padding": "center"},
    ),
    "backbone": (
        "models.VocosBackbone",
        {"input_channels": 100, "dim": 512, "intermediate_dim": 1536, "num_layers": 8},
    ),
    "head": ("heads.ISTFTHead", {"dim": 512, "n_fft": 1024, "hop_length": 256, "padding": "center"}),
}
SECONDS = (1, 10)


def theirs_and_ours() -> tuple[Any, Any]:
    """The published configuration with random weights, in the author's package and here."""
    from vocos import Vocos
    from vocos.feature_extractors import MelSpectrogramFeatures
    from vocos.heads import ISTFTHead
    from vocos.models import VocosBackbone

    torch.manual_seed(0)
    classes = {"feature_extractor": MelSpectrogramFeatures, "backbone": VocosBackbone, "head": ISTFTHead}
    theirs = Vocos(**{name: classes[name](**given) for name, (_, given) in ARGUMENTS.items()}).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if parameter.dim() > 1 and not name.startswith("feature_extractor"):
                parameter.normal_(0, parameter[0].numel() ** -0.5)  # keeps the level of the signal
    config = {name: {"class_path": f"vocos.{path}", "init_args": given} for name, (path, given) in ARGUMENTS.items()}
    ours = amphion.import_model("vocoder/vocos", theirs.state_dict(), layout="charactr", config=config)
    return theirs, ours


def compare(theirs: Any, ours: Any, threads: int, *, busy: bool, processor_time: bool) -> None:
    """Print the times of both, and how much their waves differ."""
    torch.set_num_threads(threads)
    for seconds in SECONDS:
        mel = torch.randn(1, 100, seconds * 24000 // 256)
        candidates = {"vocos": lambda mel=mel: theirs.decode(mel), "ours": lambda mel=mel: ours.vocode(mel)}
        with torch.inference_mode(), busy_process(busy):
            clock = time.process_time if processor_time else time.perf_counter
            times = medians(candidates, rounds=11, clock=clock)
            wave, mine = theirs.decode(mel), ours(mel)[:, 0]
        difference = float((mine[:, : wave.shape[1]] - wave).abs().max())
        state = "processor time" if processor_time else "busy" if busy else "idle"
        print(
            f"{threads} thread(s), {state}, {seconds} s of audio: vocos {times['vocos'] * 1000:.0f} ms, "
            f"ours {times['ours'] * 1000:.0f} ms, ratio {times['ours'] / times['vocos']:.2f}; "
            f"greatest difference {difference:.1e} of {float(wave.abs().max()):.2f}"
        )


def main() -> None:
    theirs, ours = theirs_and_ours()
    if "cpu-time" in sys.argv[1:]:
        compare(theirs, ours, 1, busy=False, processor_time=True)
        return
    for threads in (1, 2):
        for busy in (False, True):
            compare(theirs, ours, threads, busy=busy, processor_time=False)


if __name__ == "__main__":
    main()
