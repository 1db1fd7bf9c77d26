"""Batched log-mels on a CPU: ours against librosa and torchaudio on the same clips, and against the FFT alone.

Run: python benchmarks/mel.py
"""

import numpy as np
import torch
from side_by_side import medians

import amphion_core  # noqa: F401 - before torchaudio, which it guards
from amphion_core.api import MelConfig
from amphion_core.features.mel import mel_filterbank, mel_spectrogram

CLIPS, SECONDS = 8, 5.0


def main() -> None:
    import librosa
    import torchaudio

    config = MelConfig.preset("tacotron2_22k_80")  # a convention that all three can compute
    wave = torch.randn(CLIPS, int(SECONDS * config.sample_rate), generator=torch.Generator().manual_seed(0)) * 0.1
    theirs = torchaudio.transforms.MelSpectrogram(
        config.sample_rate, config.n_fft, hop_length=config.hop_length, f_min=config.fmin, f_max=config.top,
        n_mels=config.n_mels, power=1.0, mel_scale="slaney", norm="slaney",
    )  # fmt: skip
    bank = mel_filterbank(config).numpy()

    def by_librosa() -> np.ndarray:
        spectrum = librosa.stft(wave.numpy(), n_fft=config.n_fft, hop_length=config.hop_length, pad_mode="reflect")
        return np.log(np.maximum(bank @ np.abs(spectrum), config.floor))

    def by_torchaudio() -> torch.Tensor:
        return theirs(wave).clamp_min(config.floor).log()

    def by_us() -> torch.Tensor:
        return mel_spectrogram(wave, config)

    frames = torch.nn.functional.pad(wave, config.pad, mode="reflect").unfold(-1, config.n_fft, config.hop_length)
    blocks = [row[start : start + 512].contiguous() for row in frames for start in range(0, frames.shape[1], 512)]

    def fft_alone() -> None:
        for block in blocks:
            torch.fft.rfft(block)

    for other in (by_librosa(), by_torchaudio().numpy()):
        print(f"greatest difference on log-mel: {float(np.abs(by_us().numpy() - other).max()):.1e}")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        runs = {"ours": by_us, "torchaudio": by_torchaudio, "librosa": by_librosa, "FFT alone": fft_alone}
        with torch.inference_mode():
            times = medians(runs, rounds=15)
        fastest = min(times["torchaudio"], times["librosa"])
        print(f"{threads} thread(s): {fastest / times['ours']:.2f} x the throughput of the faster of the two others")
        for name, value in times.items():
            print(f"  {name:10} {value * 1e3:7.1f} ms, {CLIPS * SECONDS / value:7.0f} x real time")
        print(f"  the FFT alone takes {times['FFT alone'] / times['ours']:.0%} of our time")


if __name__ == "__main__":
    main()
