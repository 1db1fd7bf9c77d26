"""Magnitude spectra of framed audio, block by block; the mel and the linear spectrogram and the energy use it."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_core.errors import AudioError
from amphion_core.mel import MelConfig
from amphion_core.modules.padding import reflect

# Samples that are framed at a time when no gradients are needed. On a CPU this is the number for each thread: the
# windowed frames, spectra and magnitudes then stay in the processor's cache. Half or twice the number costs some
# percent more time, the whole batch at once twice the time; with smaller blocks the threads wait for each other on a
# busy machine. On other devices the number bounds the memory.
_BLOCK_CPU, _BLOCK_OTHER = 1 << 19, 1 << 26
# Without an epsilon, the gradient is 0 below this squared magnitude, because the gradient of a root is infinite at 0.
_TINY = 1e-24


def framewise(
    wave: Tensor,
    mel: MelConfig,
    lengths: Tensor | None,
    finish: Callable[[Tensor], Tensor],
    *,
    bins: int,
    dim: int,
) -> Tensor:
    """Audio (B, T) -> features (B, dim, N) that ``finish`` computes from magnitude spectra; N = ``mel.frames(T)``.

    The magnitudes are ``(|S|^2 + epsilon)^(power / 2)`` of the lowest ``bins`` frequencies, in float32. ``finish`` maps
    some frames of some items, (b, n, bins) -> (b, n, dim). ``lengths`` (B) are the samples of each item: its frames
    equal those it has alone, mirrored at its own end, and later frames are 0.

    Raises AudioError for another shape than (B, T), and for items shorter than ``mel.shortest`` samples.
    """
    check_wave(wave, mel, lengths)
    with torch.autocast(wave.device.type, enabled=False):
        frames = _pad(wave.float(), mel, lengths).unfold(-1, mel.n_fft, mel.hop_length)  # (B, N, n_fft), a view
        shape = (len(frames), dim, mel.frames(wave.shape[1]))
        if (torch.is_grad_enabled() and wave.requires_grad) or torch.compiler.is_compiling():
            result = finish(_magnitudes(frames, mel, bins)).mT
        else:
            result = wave.new_empty(shape, dtype=torch.float32)
            _in_blocks(frames, mel, finish, bins, result)
        if lengths is not None:
            counts = lengths.to(wave.device) // mel.hop_length + (mel.padding == "center")
            valid = torch.arange(shape[2], device=wave.device) < counts[:, None]
            result = result * valid[:, None]
    return result


def _in_blocks(frames: Tensor, mel: MelConfig, finish: Callable[[Tensor], Tensor], bins: int, result: Tensor) -> None:
    """Fill ``result`` (B, dim, N) block by block: many frames of one item, or all frames of several short items."""
    samples = _BLOCK_CPU * torch.get_num_threads() if frames.device.type == "cpu" else _BLOCK_OTHER
    block = max(1, samples // mel.n_fft)
    batch, count = frames.shape[:2]
    items = max(1, block // max(1, count))
    for i in range(0, batch, items):
        for n in range(0, count, block):
            part = finish(_magnitudes(frames[i : i + items, n : n + block], mel, bins))
            result[i : i + items, :, n : n + block] = part.mT


def _magnitudes(frames: Tensor, mel: MelConfig, bins: int) -> Tensor:
    """Frames (b, n, n_fft) -> magnitudes (b, n, bins)."""
    spectrum = torch.fft.rfft(frames * _window(mel, frames.device))[..., :bins]
    real, imaginary = spectrum.real, spectrum.imag
    energy = real.square().addcmul_(imaginary, imaginary)  # half the time of spectrum.abs()
    if mel.epsilon:
        energy = energy.add_(mel.epsilon)
    elif energy.requires_grad:
        energy = energy.clamp_min(_TINY)
    if mel.power == 1:
        return energy.sqrt_()
    return energy if mel.power == 2 else energy.pow(mel.power / 2)


def check_wave(wave: Tensor, mel: MelConfig, lengths: Tensor | None) -> None:
    """Raises AudioError for a wave or lengths that `framewise` cannot use."""
    if wave.ndim != 2 or not wave.is_floating_point():
        found = f"{str(wave.dtype).removeprefix('torch.')} of shape {tuple(wave.shape)}"
        raise AudioError(f"a wave must be floats of shape (B, T), not {found}", hint="wave[None] makes a batch of one")
    if not len(wave):
        raise AudioError("the batch holds no audio", hint="give at least one item")
    counts = [wave.shape[1]] if lengths is None else lengths.tolist()
    if lengths is not None and (len(counts) != len(wave) or max(counts) > wave.shape[1]):
        raise AudioError(
            f"lengths {counts} do not fit a wave of shape {tuple(wave.shape)}",
            hint="give one length for each item, at most T",
        )
    if min(counts) < mel.shortest:
        where = "" if lengths is None else f"item {counts.index(min(counts))} of the batch has "
        seconds = mel.shortest / mel.sample_rate
        raise AudioError(
            f"{where}{min(counts)} samples are too few: frames of {mel.n_fft} samples need at least {mel.shortest}",
            hint=f"give audio of at least {seconds:.3f} s; in a recipe with data.crop, raise data.crop",
        )


def _pad(wave: Tensor, mel: MelConfig, lengths: Tensor | None) -> Tensor:
    """(B, T) -> (B, T + padding). With ``lengths`` (B) the padding of an item begins at its own end."""
    before, after = mel.pad
    if lengths is None:
        return reflect(wave, before, after) if mel.pad_mode == "reflect" else F.pad(wave, (before, after))
    last = lengths.to(wave.device)[:, None] - 1
    index = torch.arange(-before, wave.shape[1] + after, device=wave.device).expand(len(wave), -1)
    if mel.pad_mode == "constant":
        inside = (index >= 0) & (index <= last)
        return wave.gather(1, index.clamp(0, wave.shape[1] - 1)) * inside
    mirrored = last - (last - index.abs()).abs()  # from 0 up to last, then down again
    return wave.gather(1, mirrored.clamp_min(0))  # only indices of frames that become 0 are clamped


@lru_cache(maxsize=32)
def _window(mel: MelConfig, device: torch.device) -> Tensor:
    """The periodic Hann window in the middle of ``n_fft`` samples; its energy is 1 if the mel is ``normalized``."""
    with torch.inference_mode(False):  # a backward pass cannot use a tensor created in inference mode
        window = torch.hann_window(mel.win_length, dtype=torch.float64)
        if mel.normalized:
            window /= window.square().sum().sqrt()
        left = (mel.n_fft - mel.win_length) // 2
        return F.pad(window, (left, mel.n_fft - mel.win_length - left)).to(device, torch.float32)
