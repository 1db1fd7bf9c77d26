"""HiFi-GAN on a CPU: ours against transformers' SpeechT5HifiGan, bfloat16 against float32, and the matmul rate.

Run: python benchmarks/hifigan.py
"""

import torch
from side_by_side import matmul_rate, medians

import amphion_core as amphion
from amphion_core.precision import bf16_is_fast

FRAMES = 200


def operations(net: torch.nn.Module, frames: int) -> float:
    """Floating-point operations of the convolutions for one mel of ``frames``: two a multiply-add."""
    total = 0.0

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        places = (output if isinstance(module, torch.nn.Conv1d) else inputs[0]).shape[-1]
        total += 2 * module.weight.numel() * places

    convolutions = [
        module for module in net.modules() if isinstance(module, torch.nn.Conv1d | torch.nn.ConvTranspose1d)
    ]
    handles = [module.register_forward_hook(count) for module in convolutions]
    with torch.no_grad():
        net(torch.zeros(1, 80, frames))
    for handle in handles:
        handle.remove()
    return total


def versions(threads: int) -> None:
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = SpeechT5HifiGanConfig(
        upsample_initial_channel=512, upsample_rates=[8, 8, 2, 2], upsample_kernel_sizes=[16, 16, 4, 4],
        normalize_before=False,
    )  # fmt: skip
    theirs = SpeechT5HifiGan(config).eval()
    given = {"layout": "transformers", "config": config.to_dict()}
    ours = amphion.import_model("vocoder/hifigan", theirs.state_dict(), **given)
    mel = torch.randn(1, 80, FRAMES)
    candidates = {"transformers": lambda: theirs(mel[0].mT), "ours": lambda: ours.vocode(mel)}
    if bf16_is_fast(torch.device("cpu")):
        rough = amphion.import_model("vocoder/hifigan", theirs.state_dict(), precision="bf16", **given)
        candidates["bf16"] = lambda: rough.vocode(mel)
    with torch.inference_mode():
        difference = float((ours.vocode(mel)[0] - theirs(mel[0].mT)).abs().max())
        times = medians(candidates)
    seconds = FRAMES * 256 / 22050
    work = operations(amphion.build("vocoder/hifigan").eval(), FRAMES)
    peak = matmul_rate()
    rate = f"{work / seconds / 1e9:.1f} GFLOP a second of audio, matmul {peak / 1e9:.0f} GFLOP/s"
    ratio = times["transformers"] / times["ours"]
    print(f"V1, {threads} thread(s): {rate}")
    print(f"  ours is {ratio:.2f} x as fast as transformers, greatest difference {difference:.1e}")
    for name, value in times.items():
        share = work / value / peak
        print(
            f"  {name:13} {value:.3f} s, real-time factor {value / seconds:.3f}, {share:.0%} of the float32 matmul rate"
        )
    if "bf16" in times:
        print(f"  bfloat16 is {times['ours'] / times['bf16']:.2f} x as fast as float32")
        print(
            f"  bfloat16 reaches {work / times['bf16'] / matmul_rate(torch.bfloat16):.0%} of the bfloat16 matmul rate"
        )


def main() -> None:
    for threads in (1, 2):
        versions(threads)
    torch.set_num_threads(1)
    mel = torch.randn(1, 80, FRAMES)
    for tag in ("v2", "v3"):
        plain = amphion.build(f"vocoder/hifigan@{tag}").eval()
        packed = amphion.build(f"vocoder/hifigan@{tag}").for_inference()
        with torch.inference_mode():
            times = medians({"plain": lambda net=plain: net(mel), "packed": lambda net=packed: net.vocode(mel)})
        factor = times["packed"] / (FRAMES * 256 / 22050)
        ratio = times["plain"] / times["packed"]
        print(f"{tag}: packed is {ratio:.2f} x as fast as the plain network, real-time factor {factor:.3f}")


if __name__ == "__main__":
    main()
