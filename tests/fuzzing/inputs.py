"""Makers of broken inputs. Each takes a random generator and the valid files, and returns the words of a command."""

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from safetensors.torch import save_file

from amphion_core import registry, yaml
from amphion_core.cli.main import make_parser

from .ground import METADATA, Ground

ODD_TEXTS = (
    "", " ", "\n", "\0", "\t", ".", "...", "-", "--", "=", "a=b", "~", "/", "..", "*", "null", "true", "nan", "-nan",
    "inf", "-inf", "-1", "0", "1e999", "1" * 400, "9" * 19, "0x10", "1_000", "½", "٣", "三", "𝟓", "é", "e\u0301", "ß",
    "İ", "\u00ad", "\u200b", "\u202e", "\u2028", "\x85", "\x0c", "\ufeff", "😀", "👩‍👩‍👧", "\ud800", "中文", "العربية",
    "हिन्दी", "Здравствуйте", "a" * 300, "a/" * 200, "{", "}", "[]", "{}", "[" * 300, "{a: &x [*x]}",
    "!!python/object:os", "%s", "$HOME", "; ls", "name@tag", "vocoder/hifigan@", "@", "vocoder/",
    "/vocoder", "vocoder//hifigan",
)  # fmt: skip
PIECES = (
    "Hello", "the", "U.S.", "Dr.", "a.m.", "5", "1,000", "1.500", "3.14", "-5", "$5", "5%", "10-15", "9/11", "2½", "½",
    "2024-01-31", "5:30 pm", "USB", "C", "IV", "http://a.b/c?d=e", "me@a.org", "#1", "&", "“quoted”", "(", ")", "[1]",
    "—", "…", "!?", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u00ad", "\u200b", "'", "’s", "ÄÖÜ", "naïve", "e\u0301", "ﬁ",
    "中文", "日本語", "Привет", "😀", "𝐛𝐨𝐥𝐝", "Ⅷ", "①", "٣", "x²", "H₂O", "°C", "№", "\x07", "\ufffd", "a" * 200,
)  # fmt: skip


@dataclass(frozen=True)
class Input:
    """A command with what it reads from standard input, and the path that it may write."""

    words: list[str]
    stdin: bytes = b""
    out: Path | None = None


Maker = Callable[[Random, Ground, Path], Input]


def text(random: Random, ground: Ground, folder: Path) -> Input:
    """A text of odd pieces: as an argument, on standard input, or in a file with damaged bytes."""
    pieces = [
        random.choice(PIECES + ODD_TEXTS if random.random() < 0.2 else PIECES) for _ in range(random.randint(1, 12))
    ]
    said = random.choice(("", " ")).join(pieces)
    if random.random() < 0.05:
        said = random.choice((".", "1", "a", " ", "a. ", "1,", "\n", "中", "½")) * 3000
        said += random.choice((".", "!", " ", "\n", "\u00ad")) * random.choice((1, 100_000))
    out = folder / "out.wav"
    words = ["tts", "--model", str(random.choice(ground.voices)), "-o", str(out)]
    data = bytearray(said.encode("utf-8", "surrogatepass"))
    way = random.choice(("argument", "stdin", "file"))
    if way == "argument" and len(said) < 100_000:
        return Input([*words, "--", said.replace("\0", "")], out=out)
    if random.random() < 0.3:
        _damage(random, data)
    if way == "stdin":
        return Input([*words, "-"], stdin=bytes(data), out=out)
    path = folder / "text.txt"
    path.write_bytes(data)
    return Input([*words, "--file", str(path)], out=out)


def audio(random: Random, ground: Ground, folder: Path) -> Input:
    """A damaged audio file: alone through a vocoder, or among others in a corpus or an evaluation."""
    source = random.choice(ground.audio)
    data = bytearray(source.read_bytes())
    _damage(random, data, head=random.random() < 0.6)
    path = folder / f"broken{random.choice((source.suffix, source.suffix, source.suffix.upper(), '.wav', '.aiff'))}"
    path.write_bytes(data)
    out, wave = folder / "out", folder / "out.wav"
    reference = ["--ref", str(ground.audio[0])]
    return random.choice((
        Input(["vocode", str(path), "-o", str(wave), "--vocoder", str(ground.vocoder)], out=wave),
        Input(["prepare", "folder", str(folder), str(out), "--processes", "1"], out=out),
        Input(["eval", str(path), *reference, "--metrics", "si_sdr", "--workers", "1", "-o", str(out)]),
    ))  # fmt: skip


def mel(random: Random, ground: Ground, folder: Path) -> Input:
    """A damaged mel file, or one whose shape, kind of numbers or convention is not the vocoder's."""
    shape = random.choice(((80, 12), (12, 80), (1, 80, 12), (80, 80), (100, 12), (80, 0), (80,), (2, 80, 12), (80, 1)))
    kind = random.choice((torch.float32, torch.float32, torch.float16, torch.float64, torch.int16, torch.complex64))
    values = torch.full(shape, random.choice((-5.0, -5.0, 0.0, 300.0, float("nan"), float("inf"))), dtype=torch.float64)
    array = torch.nan_to_num(values).to(kind) if kind == torch.int16 else values.to(kind)
    path = folder / random.choice(("a.npy", "a.safetensors", "a.NPY"))
    stated = random.choice(("hifigan_22k_80", "hifigan_22k_80", "melgan_22k_80", "{log: log3}", *ODD_TEXTS[:3]))
    stated = stated.encode("utf-8", "replace").decode()
    if path.suffix == ".safetensors":
        save_file({random.choice(("mel", "x", "f0")): array}, path, metadata={"mel": stated})
    else:
        with path.open("wb") as file:
            np.save(file, array.numpy())
        if random.random() < 0.7:
            (folder / "mel.yaml").write_text(stated, encoding="utf-8")
    if random.random() < 0.5:
        data = bytearray(path.read_bytes())
        _damage(random, data, head=random.random() < 0.6)
        path.write_bytes(data)
    out = folder / "out.wav"
    words = ["vocode", str(path), "-o", str(out)]
    words += [] if random.random() < 0.2 else ["--vocoder", str(ground.vocoder)]
    return Input(words + (["--mel", stated] if random.random() < 0.3 else []), out=out)


def place(random: Random, ground: Ground, folder: Path) -> Input:
    """Something that is no regular file where a command expects one: a FIFO, a device, a loop, a folder, no access."""
    path = folder / random.choice(
        ("a.wav", "a.yaml", "a.safetensors", "a.txt", "metadata.csv", "x" * 250 + ".wav", "é.wav")
    )
    kind = random.choice(("fifo", "device", "loop", "folder", "closed", "missing", "empty", "dangling"))
    if kind == "fifo":
        os.mkfifo(path)
    elif kind in ("device", "loop", "dangling"):
        path.symlink_to({"device": "/dev/zero", "loop": path, "dangling": folder / "nothing"}[kind])
    elif kind == "folder":
        path.mkdir()
    elif kind in ("closed", "empty"):
        path.write_bytes(b"")
        path.chmod(0 if kind == "closed" else 0o644)
    named, out = str(path), str(folder / "out.wav")
    (folder / "wavs").mkdir(exist_ok=True)
    return Input(random.choice((
        ["vocode", named, "-o", out, "--vocoder", str(ground.vocoder)],
        ["vocode", str(folder), "-o", str(folder / "out"), "--vocoder", str(ground.vocoder)],
        ["vocode", str(ground.audio[0]), "-o", named, "--vocoder", str(ground.vocoder)],
        ["vocode", str(ground.audio[0]), "-o", out, "--vocoder", named],
        ["tts", "Hello.", "-o", named, "--model", str(ground.voices[0])],
        ["tts", "--file", named, "-o", out, "--model", str(ground.voices[0])],
        ["prepare", "folder", str(folder), str(folder / "out"), "--processes", "1"],
        ["prepare", "ljspeech", str(folder), str(folder / "out"), "--processes", "1"],
        ["prepare", "folder", str(ground.recordings), named, "--processes", "1"],
        ["eval", named, "--ref", str(ground.audio[0]), "--metrics", "si_sdr", "--workers", "1"],
        ["eval", str(ground.audio[0]), "--ref", named, "--metrics", "si_sdr", "--workers", "1"],
        ["eval", "--pairs", named, "--metrics", "si_sdr", "--workers", "1"],
        ["convert", "vocoder/hifigan", named, "--layout", "jik876", "-o", str(folder / "out")],
        ["recipes", named], ["train", named, "-o", str(folder / "run")], ["info", named],
        ["train", "hifigan_quickstart", f"data.root={named}", "-o", str(folder / "run")],
    )))  # fmt: skip


def table(random: Random, ground: Ground, folder: Path) -> Input:
    """A damaged table of texts, read as a corpus, as texts of an evaluation, or as pairs."""
    lines = METADATA.splitlines()
    separator = random.choice(("|", ",", "\t", ";", " | ", "||"))
    for _ in range(random.randint(0, 3)):
        at = random.randrange(len(lines))
        lines[at] = random.choice((
            "", '"', lines[at] + "|more", lines[at].replace("|", separator), lines[at].partition("|")[0], "|" * 40,
            f"{random.choice(ODD_TEXTS)}|{random.choice(ODD_TEXTS)}", lines[at] + random.choice(ODD_TEXTS),
            "a" * 200_000, f"{ground.audio[0]}|text", "../../etc/passwd|text", lines[0],
        ))  # fmt: skip
    if random.random() < 0.3:
        lines = [line.replace("|", separator) for line in lines]
    if random.random() < 0.2:
        lines.insert(0, random.choice(("id|text", "file,text", "path\ttext\tspeaker", "generated,reference")))
    data = bytearray(random.choice(("\n", "\r\n", "\r")).join(lines).encode("utf-8", "surrogatepass"))
    if random.random() < 0.3:
        _damage(random, data)
    if random.random() < 0.5:
        root = folder / "corpus"
        shutil.copytree(ground.corpus, root)
        (root / "metadata.csv").write_bytes(data)
        return Input(["prepare", "ljspeech", str(root), str(folder / "out"), "--processes", "1"], out=folder / "out")
    path = folder / f"table.{random.choice(('csv', 'tsv', 'txt'))}"
    path.write_bytes(data)
    if random.random() < 0.5:
        return Input(["eval", "--pairs", str(path), "--metrics", "si_sdr", "--workers", "1"])
    words = ["eval", str(ground.recordings), "--ref", str(ground.recordings), "--text", str(path)]
    return Input([*words, "--metrics", "si_sdr", "--workers", "1"])


def recipe(random: Random, ground: Ground, folder: Path) -> Input:
    """A recipe with wrong values, wrong keys or broken YAML, or with such overrides."""
    values = yaml.parse(ground.recipe)
    for _ in range(random.randint(0, 3)):
        _change(random, values)
    content = bytearray(yaml.dump(values).encode("utf-8", "surrogatepass"))
    if random.random() < 0.2:
        _damage(random, content)
    if random.random() < 0.05:
        content = bytearray(random.choice((b"[" * 1500, b"a: " * 1500, b"{a: " * 20_000, b"- " * 3000, b"\0", b"1")))
    path = folder / "recipe.yaml"
    path.write_bytes(content)
    keys = (
        "model.channels",
        "data.crop",
        "engine.steps",
        "seed",
        "optim.lr",
        "audio.fmin",
        "a.b",
        "",
        "engine",
        "data.root",
    )
    overrides = [f"{random.choice(keys)}={random.choice(ODD_TEXTS)}" for _ in range(random.randint(0, 2))]
    overrides = [word.replace("\0", "") for word in overrides]
    if random.random() < 0.5:
        return Input(["recipes", str(path), *overrides])
    return Input(["train", str(path), "-o", str(folder / "run"), *overrides, "engine.steps=1", "engine.device=cpu"])


def checkpoint(random: Random, ground: Ground, folder: Path) -> Input:
    """A publisher's checkpoint or its config, damaged or with tensors and values of other kinds."""
    architecture, layout, source = random.choice(ground.checkpoints)
    config = json.loads((source.parent / "config.json").read_text())
    path = folder / random.choice(("generator", "model.pt", "model.ckpt", "model.safetensors", "model.onnx"))
    if random.random() < 0.5:
        data = bytearray(source.read_bytes())
        _damage(random, data, head=random.random() < 0.3)
        path.write_bytes(data)
    else:
        state = torch.load(source, weights_only=True)
        tensors = state["generator"]
        name = random.choice(list(tensors))
        tensors[name] = random.choice((
            tensors[name] * float("nan"), tensors[name].to(torch.int64), tensors[name].bool(), tensors[name][:0],
            tensors[name].to(torch.complex64), tensors[name].to_sparse(), None, "text", 5, [1, 2], tensors[name][None],
            tensors[name].double(), tensors[name].half(), tensors[name].to(torch.float8_e4m3fn),
        ))  # fmt: skip
        if random.random() < 0.3:
            tensors[random.choice((5, None, "", "a" * 300, ("a", 1)))] = torch.zeros(1)
        torch.save(random.choice((state, tensors, [state], {"model": state}, torch.zeros(3), 5)), path)
    if random.random() < 0.5:
        _change(random, config)
    text = json.dumps(config)
    if random.random() < 0.1:
        text = random.choice(
            ("[" * 20_000, "{}", "[]", "5", "", text[:-5], text.replace("1", "1" * 4400, 1), '{"a":' * 9999)
        )
    (folder / "config.json").write_text(text, encoding="utf-8")
    out = folder / "out"
    layout = random.choice((layout, layout, layout, "transformers", "amphion", "nothing"))
    return Input(["convert", architecture, str(path), "--layout", layout, "-o", str(out)], out=out)


def weights(random: Random, ground: Ground, folder: Path) -> Input:
    """A weights folder of ours with a damaged file or a changed configuration, opened by a command."""
    vocoder = random.random() < 0.5
    source = ground.vocoder if vocoder else random.choice(ground.voices)
    place = folder / "weights"
    shutil.copytree(source, place)
    if random.random() < 0.5:
        path = place / "config.yaml"
        values = yaml.read(path)
        _change(random, values)
        path.write_text(yaml.dump(values), encoding="utf-8", errors="surrogatepass")
    else:
        path = place / random.choice(("config.yaml", "model.safetensors"))
        data = bytearray(path.read_bytes())
        _damage(random, data, head=True)
        path.write_bytes(data)
    out = folder / "out.wav"
    if random.random() < 0.2:
        return Input(["info", str(place)])
    if vocoder:
        return Input(["vocode", str(ground.audio[0]), "-o", str(out), "--vocoder", str(place)], out=out)
    return Input(["tts", "Hello there.", "-o", str(out), "--model", str(place)], out=out)


def manifest(random: Random, ground: Ground, folder: Path) -> Input:
    """A prepared folder with a damaged manifest, given to a training of one step."""
    place = folder / "prepared"
    shutil.copytree(ground.prepared, place)
    path = random.choice(sorted(path for path in place.iterdir() if path.is_file()))
    if path.suffix == ".jsonl" and random.random() < 0.7:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for _ in range(random.randint(1, 2)):
            _change(random, random.choice(rows))
        path.write_text("\n".join(json.dumps(row) for row in random.choices(rows, k=len(rows) + 1)), encoding="utf-8")
    else:
        data = bytearray(path.read_bytes())
        _damage(random, data)
        path.write_bytes(data)
    recipe = folder / "recipe.yaml"
    recipe.write_text(ground.recipe, encoding="utf-8")
    return Input(["train", str(recipe), f"data.root={place}", "-o", str(folder / "run")])


def arguments(random: Random, ground: Ground, folder: Path) -> Input:
    """Any command that ends by itself, with any of its options, each with a value that may not fit."""
    name = random.choice(
        [name for name in registry.names("commands") if name not in ("demo", "doctor", "serve", "train")]
    )
    with contextlib.redirect_stderr(io.StringIO()):
        parser = make_parser(name)
    sub = next(action for action in parser._actions if action.dest == "command").choices[name.replace("/", " ")]
    good = [str(path) for path in (*ground.audio, *ground.voices, ground.vocoder, ground.recordings, ground.prepared)]
    names = [
        ref.name for kind in ("models", "metrics", "features", "datasets", "recognizers") for ref in registry.refs(kind)
    ]
    words = name.split("/")
    for action in sub._actions:
        if action.dest in ("help", "ray") or (action.option_strings and random.random() < 0.6):
            continue
        if action.option_strings:
            words.append(random.choice(action.option_strings))
        if action.nargs == 0:
            continue
        value = random.choice((random.choice(ODD_TEXTS).replace("\0", ""), random.choice(good), random.choice(names)))
        if action.dest in ("out", "output", "folder"):
            value = str(folder / "out" / random.choice(ODD_TEXTS).replace("\0", "").lstrip("/"))
        if action.dest in ("processes", "workers") and random.random() < 0.7:
            value = "1"
        words.append(value)
    return Input(words)


MAKERS: tuple[Maker, ...] = (text, audio, mel, place, table, recipe, checkpoint, weights, manifest, arguments)


def _damage(random: Random, data: bytearray, *, head: bool = False) -> None:
    """Change, cut, double or insert bytes; with ``head`` within the first 200, where headers are."""
    for _ in range(random.randint(1, 4)):
        size = min(len(data), 200) if head else len(data)
        at = random.randrange(size + 1)
        way = random.choice(("change", "cut", "insert", "zeros", "double", "ones"))
        if way == "change" and at < len(data):
            data[at] = random.randrange(256)
        elif way == "cut":
            del data[at : at + random.choice((1, 4, len(data)))]
        elif way == "insert":
            data[at:at] = random.randbytes(random.choice((1, 2, 30)))
        elif way == "double":
            data[at:at] = data[at : at + 100]
        else:
            data[at : at + 4] = (b"\0" if way == "zeros" else b"\xff") * 4


def _change(random: Random, values: object) -> None:
    """Replace, remove, rename or add a value somewhere in nested dicts and lists."""
    while True:
        keys = list(values) if isinstance(values, dict) else list(range(len(values)))
        if not keys:
            return
        key = random.choice(keys)
        inner = values[key]
        if not isinstance(inner, dict | list) or random.random() < 0.3:
            break
        values = inner
    odd = (
        None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e-300, 1e300, float("inf"), float("nan"), "",
        "nan", "three", [], {}, [1], {"name": "nothing"}, [[1]], {"a": {"b": 1}}, "vocoder/hifigan",
        "discriminator/mpd", "mel", random.choice(ODD_TEXTS).replace("\ud800", ""), "a" * 5000, list(range(3000)),
    )  # fmt: skip
    way = random.choice(("replace", "replace", "replace", "remove", "rename", "add"))
    if way == "replace" or isinstance(values, list):
        values[key] = random.choice(odd)
    elif way == "remove":
        del values[key]
    elif way == "rename":
        values[f"{key}x"] = values.pop(key)
    else:
        values[random.choice(("name", "extra", "mel", "config"))] = random.choice(odd)
