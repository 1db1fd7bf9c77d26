"""Training step of FastSpeech 2 with a learned alignment, on one thread: its parts, and coqui-tts' step beside it.

coqui-tts is measured where it is installed.

Both networks have the same sizes: 4 + 6 blocks of 256 channels, kernels 3 and 3, an aligner, no PostNet. Both get the
same mels, pitch and energy of 8 items of random lengths, and make forward pass, losses, backward pass and update.
Ours also computes the mels from the waves. Run: python benchmarks/fastspeech2_training.py
"""

from importlib.util import find_spec
from typing import Any

import torch
from side_by_side import matmul_rate, medians
from torch.utils.flop_counter import FlopCounterMode

import amphion_core as amphion
from amphion_core.api import Batch, FrontendPart, MelConfig
from amphion_core.features.mel import mel_spectrogram
from amphion_tts.models.aligner import hard_durations
from amphion_tts.trainers.fastspeech2 import FastSpeech2Trainer

ITEMS, SYMBOLS = 8, 60


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    batch, mel = make_batch(), MelConfig.preset("hifigan_22k_80")
    trainer = make_trainer(mel)
    step, parameters = our_step(trainer, batch)
    with FlopCounterMode(display=False) as counter:
        step()
    frames = mel_spectrogram(batch["wave"], mel, batch["lengths"])
    log_p = trainer.network.aligner(batch["ids"], batch["id_lengths"], frames, batch["frames"])
    candidates = {
        "step": step,
        "mel of the waves": lambda: mel_spectrogram(batch["wave"], mel, batch["lengths"]),
        "aligner, forward": lambda: trainer.network.aligner(batch["ids"], batch["id_lengths"], frames, batch["frames"]),
        "alignment search": lambda: hard_durations(log_p, batch["id_lengths"], batch["frames"]),
    }
    if find_spec("TTS") is None:
        print("coqui-tts is not installed, so its step is not measured")
    else:
        candidates["coqui-tts' step"], theirs = coqui_step(batch, frames)
        print(f"coqui-tts: {theirs / 1e6:.1f} M parameters")
    times = medians(candidates, rounds=3)
    rate = counter.get_total_flops() / times["step"]
    seconds = int(batch["lengths"].sum()) / mel.sample_rate
    print(f"ours: {parameters / 1e6:.1f} M parameters; {ITEMS} items, {seconds:.0f} s of audio")
    for name, value in times.items():
        print(f"{name:18} {1000 * value:7.0f} ms   {value / times['step']:.3f} of our step")
    print(f"arithmetic rate of the step / of a matrix product: {rate / matmul_rate():.2f}")


def make_batch() -> Batch:
    """Noise with the lengths of sentences of 2 to 5 seconds."""
    lengths = torch.randint(2 * 22050, 5 * 22050, (ITEMS,)).sort().values
    frames = lengths // 256
    tokens = (frames / 6).long()
    size, count = int(frames.max()), int(tokens.max())
    valid = torch.arange(size) < frames[:, None]
    ids = torch.randint(1, SYMBOLS, (ITEMS, count)) * (torch.arange(count) < tokens[:, None])
    tensors = {
        "wave": 0.1 * torch.randn(ITEMS, int(lengths.max())), "lengths": lengths, "ids": ids, "id_lengths": tokens,
        "frames": frames, "f0": (200 + 20 * torch.randn(ITEMS, 1, size)) * valid[:, None],
        "energy": torch.rand(ITEMS, 1, size) * valid[:, None],
    }  # fmt: skip
    counts = {"items": ITEMS, "frames": int(frames.sum()), "tokens": int(tokens.sum())}
    return Batch(tuple(map(str, range(ITEMS))), tensors, counts, counts)


def make_trainer(mel: MelConfig) -> FastSpeech2Trainer:
    """Ours, with the sizes that coqui-tts has for this network."""
    symbols = tuple(map(chr, range(97, 97 + SYMBOLS)))
    model = amphion.build(
        "tts/fastspeech2", frontend=FrontendPart.named("characters", symbols=symbols), mel=mel, kernels=(3, 3),
        dropout=0.1, postnet_channels=0, aligner=True, pitch_mean=200, pitch_std=20, energy_mean=0.5, energy_std=0.3,
    )  # fmt: skip
    return FastSpeech2Trainer(FastSpeech2Trainer.Config(binarization_start=0), model=model)


def our_step(trainer: FastSpeech2Trainer, batch: Batch) -> tuple[Any, int]:
    """A function that makes one step, and the number of parameters."""
    stepper = torch.optim.AdamW(trainer.model.parameters(), 1e-4, fused=True)

    def step() -> None:
        for update in trainer.training_step(batch, 1):
            stepper.zero_grad()
            update.loss.backward()  # type: ignore[no-untyped-call]
            stepper.step()

    return step, sum(one.numel() for one in trainer.model.parameters())


def coqui_step(batch: Batch, mel: torch.Tensor) -> tuple[Any, int]:
    """The same for coqui-tts, whose optimiser is given the fused kernel too."""
    from TTS.tts.configs.fastspeech2_config import Fastspeech2Config
    from TTS.tts.models.forward_tts import ForwardTTS, ForwardTTSArgs

    sizes = {"hidden_channels_ffn": 1024, "num_heads": 2, "dropout_p": 0.1}
    args = ForwardTTSArgs(
        num_chars=SYMBOLS, hidden_channels=256, use_pitch=True, use_energy=True, use_aligner=True,
        encoder_params={**sizes, "num_layers": 4}, decoder_params={**sizes, "num_layers": 6},
    )  # fmt: skip
    config = Fastspeech2Config(model_args=args)
    model = ForwardTTS(config)
    model.binary_loss_weight = 1.0
    criterion = model.get_criterion()
    stepper = torch.optim.Adam(model.parameters(), 1e-4, fused=True)
    given = {
        "text_input": batch["ids"], "text_lengths": batch["id_lengths"], "mel_input": mel.mT.contiguous(),
        "mel_lengths": batch["frames"], "pitch": (batch["f0"] - 200) / 20, "energy": batch["energy"],
        "d_vectors": None, "speaker_ids": None, "durations": None,
    }  # fmt: skip

    def step() -> None:
        _, losses = model.train_step(given, criterion)
        stepper.zero_grad()
        losses["loss"].backward()
        stepper.step()

    return step, sum(one.numel() for one in model.parameters())


if __name__ == "__main__":
    main()
