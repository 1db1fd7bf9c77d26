"""One GPU: training steps and inference, agreement with the CPU, and whether a killed run resumes exactly.

Measures HiFi-GAN V1 with MPD and MSD (16 crops of 8,192 samples), vocoding of ten seconds, and VITS speaking a second.
Compiling takes more than half of the time. Run: python benchmarks/gpu.py [SECTION ...]
Sections: agreement vocoder vits resuming training compiled
"""

import copy
import fcntl
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes
from amphion_core.data.loader import Corpus, Position, training_batches
from amphion_core.data.prepare import prepare
from amphion_core.features.mel import mel_spectrogram
from amphion_core.training import checkpoint
from amphion_core.training.device import compile_networks, settings
from amphion_core.training.engine import Engine
from amphion_core.training.processes import Processes
from amphion_core.training.run import build_trainer, train
from amphion_core.training.run_folder import RunFolder

RATE, HOP = 22050, 256
TEN_SECONDS, ONE_SECOND = 861, 86  # frames
STEPS, KILLED_AT = 6, 3
PRECISIONS = ("bf16", "float32")
PATIENCE = 120.0  # seconds that one precision waits for the other to be compiled
ALL_JUDGES = ["mpd", "msd", "mrd", "ms_stftd", "ms_sb_cqtd"]


def median_ms(run: Callable[[], object], *, warm: int = 3, times: int = 12) -> float:
    """Median milliseconds of ``run``, the GPU's work included."""
    found = []
    for number in range(warm + times):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        if number >= warm:
            found.append(1000 * (time.perf_counter() - start))
    return statistics.median(found)


def lively(net: Any, seed: int = 0) -> Any:
    """Weights that keep the level of the signal."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            size = parameter[0].numel() if parameter.dim() > 1 else 100
            parameter.normal_(0, size**-0.5, generator=generator)
    return net


def both_devices(name: str, **fields: Any) -> tuple[Any, Any]:
    """One network on the CPU and on the GPU, ready for inference."""
    nets = [lively(amphion.build(name, **fields)) for _ in range(2)]
    return nets[0].for_inference(), nets[1].cuda().for_inference()


def agreement() -> None:
    wave = torch.randn(1, 2 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    mel = amphion.build("vocoder/hifigan").config.mel
    here, there = mel_spectrogram(wave, mel), mel_spectrogram(wave.cuda(), mel).cpu()
    print(f"mel: greatest difference between CPU and GPU {float((here - there).abs().max()):.1e}")
    for tf32 in (True, False):
        torch.backends.cudnn.allow_tf32 = tf32
        one, other = both_devices("vocoder/hifigan")
        made, expected = other.vocode(there.cuda()).cpu(), one.vocode(here)
        difference, peak = float((made - expected).abs().max()), float(expected.abs().max())
        print(f"HiFi-GAN V1, tf32 {tf32}: greatest difference {difference:.1e} of a peak of {peak:.2f}")
        one, other = both_devices("tts/vits", vocabulary=60, posterior=False)
        quiet = one.controls({"noise_scale": 0.0, "duration_noise_scale": 0.0})
        ids, lengths = torch.arange(2, 42)[None], torch.tensor([40])
        expected = one.synthesize(ids, lengths, controls=quiet)
        for call in ("plain", "recorded", "replayed"):
            made = other.synthesize(ids.cuda(), lengths.cuda(), controls=quiet)
            if made.wave.shape != expected.wave.shape:
                print(f"  VITS, {call}: a duration was rounded differently")
                continue
            difference = float((made.wave.cpu() - expected.wave).abs().max())
            print(f"  VITS, {call}: greatest difference {difference:.1e} of {float(expected.wave.abs().max()):.2f}")
    for name in ("mpd", "msd"):
        one = amphion.build(f"discriminator/{name}")
        other = copy.deepcopy(one).cuda()
        found = [
            torch.cat([map_.flatten().cpu() for maps in net(x)[1] for map_ in maps])
            for net, x in ((one, wave[:, None, :8192]), (other, wave[:, None, :8192].cuda()))
        ]
        difference = float((found[1] - found[0]).norm() / found[0].norm())
        print(f"discriminator/{name}: feature maps differ by {difference:.1e} of their norm")
    torch.backends.cudnn.allow_tf32 = True


def vocoder() -> None:
    for precision in ("float32", "bf16"):
        net = lively(amphion.build("vocoder/hifigan")).cuda().for_inference(precision)
        for batch in (1, 16):
            mel = torch.randn(batch, 80, TEN_SECONDS, device="cuda")
            ms = median_ms(lambda net=net, mel=mel: net.vocode(mel))
            seconds = batch * TEN_SECONDS * HOP / RATE
            print(f"HiFi-GAN V1, {precision}, batch {batch:2}: {ms:6.1f} ms, {1000 * seconds / ms:5.0f} x real time")


def vits() -> None:
    ids, lengths = torch.randint(0, 60, (1, 40)).cuda(), torch.tensor([40]).cuda()
    for precision in ("float32", "bf16"):
        net = amphion.build("tts/vits", vocabulary=60, posterior=False).cuda().for_inference(precision)
        mean = float(net.synthesize(ids, lengths, seed=0).durations.float().mean())
        controls = net.controls({"length_scale": ONE_SECOND / 40 / mean})
        start = time.perf_counter()
        net.synthesize(ids, lengths, seed=0, controls=controls)
        torch.cuda.synchronize()
        first = 1000 * (time.perf_counter() - start)
        ms = median_ms(lambda: net.synthesize(ids, lengths, seed=0, controls=controls))  # noqa: B023
        other = {"lengths": iter(range(1000))}
        varied = median_ms(lambda: net.synthesize(ids, lengths, seed=next(other["lengths"]), controls=controls))  # noqa: B023
        frames = int(net.synthesize(ids, lengths, seed=0, controls=controls).durations.sum())
        text = f"{ms:.1f} ms, other durations in every call {varied:.1f} ms, the first call {first:.1f} ms"
        print(f"VITS, {precision}, {frames * HOP / RATE:.2f} s of speech: {text}")


def corpus_in(folder: Path) -> Path:
    """Noise of two seconds, forty times, as a prepared corpus."""
    if not (folder / "data").exists():
        (folder / "corpus").mkdir(parents=True)
        random = np.random.default_rng(0)
        for number in range(40):
            soundfile.write(folder / "corpus" / f"{number}.wav", random.uniform(-0.3, 0.3, 2 * RATE), RATE)
        reader = amphion.get("datasets", "folder")
        list(prepare(reader(reader.Config(root=str(folder / "corpus"))), folder / "corpus", folder / "data"))
    return folder / "data"


def recipe_for(data: Path, *, judges: list[str], crops: int, **engine: Any) -> Any:
    budget = (crops // engine.get("micro_batches", 1) + 0.5) * 8192 / RATE
    return recipes.check({
        "name": "gpu", "audio": "hifigan_22k_80", "model": "vocoder/hifigan", "seed": 1,
        "data": {"root": str(data), "crop": 8192, "budget": budget, "dev": None, "workers": 0},
        "trainer": {"name": "gan_vocoder", "discriminators": [f"discriminator/{name}" for name in judges]},
        "optim": {"betas": [0.8, 0.99]}, "engine": {"log_every": 100, "steps": 10**6} | engine,
    })  # fmt: skip


def full(group: list[Any]) -> bool:
    """Whether a step has 16 crops; the last one of an epoch has fewer."""
    return sum(len(batch) for _, batch in group) == 16


def step_ms(
    folder: Path, *, compiled: bool = False, before_measuring: Callable[[], None] = lambda: None, **engine: Any
) -> tuple[float, float]:
    """Median milliseconds of a training step, and the seconds until the first one was done."""
    start = time.perf_counter()
    recipe = recipe_for(corpus_in(folder), judges=["mpd", "msd"], crops=16, **engine)
    with settings(recipe.engine):
        torch.manual_seed(0)
        trainer = build_trainer(recipe)
        corpus = Corpus(recipe.data, "train", rate=RATE, seed=0, hop=trainer.hop_length)
        runner = Engine(recipe, trainer, corpus, None, RunFolder(folder / "run"), Processes("cuda"))
        micro = recipe.engine.micro_batches
        source = training_batches(corpus, trainer.collator(), Position(), micro_batches=micro, workers=0)
        group = next(pairs for pairs in iter(lambda: [next(source) for _ in range(micro)], None) if full(pairs))
        if compiled:
            compile_networks(runner.networks)
        runner.step(1, group)
        torch.cuda.synchronize()
        first = time.perf_counter() - start
        for _ in range(3):  # graphs are recorded in the second and the third
            runner.step(1, group)
        before_measuring()
        return median_ms(lambda: runner.step(1, group)), first


def training(folder: Path) -> None:
    for engine in (
        {"precision": "float32"}, {"precision": "float32", "tf32": False}, {"precision": "bf16"},
        {"precision": "bf16", "cudnn_benchmark": True}, {"precision": "bf16", "micro_batches": 2},
        {"precision": "float32", "deterministic": True},
    ):  # fmt: skip
        ms, _ = step_ms(folder, **engine)
        print(f"training step, {', '.join(f'{name} {value}' for name, value in engine.items())}: {ms:.0f} ms")


def compiled(folder: Path) -> None:
    """Both precisions are compiled at the same time, each in its own process; then they measure in turn."""
    corpus_in(folder)
    command = [sys.executable, __file__, "--compiled", str(folder)]
    children = [subprocess.Popen([*command, precision]) for precision in PRECISIONS]
    for process in children:
        process.wait()


def compiled_child(folder: Path, precision: str) -> None:
    def others_are_ready() -> None:
        (folder / f"ready-{precision}").touch()
        limit = time.perf_counter() + PATIENCE
        while time.perf_counter() < limit and not all((folder / f"ready-{name}").exists() for name in PRECISIONS):
            time.sleep(0.1)
        fcntl.flock(lock, fcntl.LOCK_EX)

    with (folder / "lock").open("w") as lock:
        ms, first = step_ms(folder, compiled=True, before_measuring=others_are_ready, precision=precision)
    print(f"training step, {precision}, compiled: {ms:.0f} ms; the first one after {first:.0f} s", flush=True)


def resuming(folder: Path) -> None:
    """A deterministic run of six steps against one that is killed after three and resumed, bit for bit."""
    corpus_in(folder)
    children = [
        subprocess.Popen([sys.executable, __file__, "--child", str(folder), name]) for name in ("whole", "parts")
    ]
    codes = [child.wait() for child in children]
    if codes != [0, -signal.SIGKILL]:
        print(f"resuming: the runs ended with {codes}, not 0 and {-signal.SIGKILL}")
        return
    subprocess.run([sys.executable, __file__, "--child", str(folder), "parts", "resume"], check=True)
    tensors = [checkpoint.read(folder / name / "checkpoints" / f"step-{STEPS}")[0] for name in ("whole", "parts")]
    count = 0
    for kind, values in tensors[0].items():
        for key, value in values.items():
            count += 1
            if not torch.equal(value, tensors[1][kind][key]):
                print(f"resuming: {kind} {key} differs")
                return
    print(f"resuming: killed after step {KILLED_AT} and resumed, all {count} tensors equal those of the whole run")


def child(folder: Path, name: str, resume: bool) -> None:
    """One run of ``resuming``, in its own process; the run "parts" kills itself unless it is resumed."""
    recipe = recipe_for(
        folder / "data", judges=ALL_JUDGES, crops=4, deterministic=True, save_every=1, keep_last=STEPS,
        steps=STEPS, precision="bf16",
    )  # fmt: skip

    def kill() -> None:
        while not (folder / name / "checkpoints" / f"step-{KILLED_AT}").exists():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGKILL)

    if name == "parts" and not resume:
        threading.Thread(target=kill, daemon=True).start()
    train(recipe, folder / name, resume=resume)


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("this benchmark needs a GPU: torch finds none (amphion doctor lists the devices)")
    if sys.argv[1:2] == ["--compiled"]:
        return compiled_child(Path(sys.argv[2]), sys.argv[3])
    if sys.argv[1:2] == ["--child"]:
        return child(Path(sys.argv[2]), sys.argv[3], "resume" in sys.argv)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        sections: dict[str, Callable[[], None]] = {
            "agreement": agreement, "vocoder": vocoder, "vits": vits,
            "resuming": lambda: resuming(Path(scratch)), "training": lambda: training(Path(scratch)),
            "compiled": lambda: compiled(Path(scratch)),
        }  # fmt: skip
        for name in sys.argv[1:] or list(sections):
            sections[name]()
            torch.cuda.empty_cache()
            print(f"[{name} done after {time.perf_counter() - start:.0f} s]", flush=True)


if __name__ == "__main__":
    main()
