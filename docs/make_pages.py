"""Makes the ready-made pages ``docs/pages`` and their pictures ``docs/pictures/page_*.png``.

Run from the root: python docs/make_pages.py DATA [--page PAGE=MODEL ...]. DATA is a folder of recordings under free
licences with the folders kathleen_en (CC0) and singing_ccby (CC BY 4.0). The pages speech, vocoders and singing need no
training and are made anew; alignment, codec, steps and training are made where ``--page`` names a model, or a run.
Without DATA, only the pictures are made. It needs playwright with Chromium, and Pillow.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from amphion_core.audio import Audio
from amphion_core.visualize.making import make_page

DOCS = Path(__file__).parent
PAGES, PICTURES = DOCS / "pages", DOCS / "pictures"
VOICE, VOCODER = "tts/fastspeech2@kathleen", "vocoder/hifigan@kathleen"
SIZE, CUT = {"width": 1000, "height": 1250}, 128  # pixels of a picture; colours
MOST = 1_500_000  # bytes of a page
READER = '"dataset-voice-kathleen", Rhasspy, CC0 1.0'
SINGERS = (
    'song: vocadito_10, "vocadito", Bittner et al. 2021, CC BY 4.0; singer: xserra_female, MTG sms-tools, CC BY 4.0'
)
TRAINED = "the codec was trained on these and on excerpts of LibriSpeech, Panayotov et al. 2015, CC BY 4.0"
SOUNDS = "the network was trained on ESC-10, K. J. Piczak 2015, CC BY 3.0"
SAMPLE, STEPS = "kathleen_a0060", 4  # of the run on the page: the sample, which is CC0, and how many validations


def speech(out: Path, data: Path, model: str) -> None:
    """A sentence."""
    make_page(model, ["Good morning, dear listeners."], out)


def alignment(out: Path, data: Path, model: str) -> None:
    """A recording and its text."""
    text = "Author of the danger trail, Philip Steels, etc."
    make_page(
        model,
        [str(data / "kathleen_en/wavs/kathleen_a0001.flac")],
        out,
        fields={"text": text},
        credit=f"recording: {READER}",
    )


def vocoders(out: Path, data: Path, model: str) -> None:
    """The same recording beside its copies."""
    make_page(model, [str(data / "kathleen_en/wavs/kathleen_a0001.flac")], out, credit=f"recording: {READER}")


def singing(out: Path, data: Path, model: str) -> None:
    """A man's melody with the voices of a woman who sings and of a woman who reads."""
    songs = data / "singing_ccby/audio"
    with tempfile.TemporaryDirectory() as folder:
        song = excerpt(songs / "vocadito_10.flac", 0.0, 4.0, Path(folder))
        singer = excerpt(songs / "xserra_female.flac", 1.0, 4.0, Path(folder))
        reader = str(data / "kathleen_en/wavs/kathleen_a0001.flac")
        make_page(
            model,
            [song],
            out,
            fields={"target": singer},
            others={"target": reader},
            credit=f"{SINGERS}; reader: {READER}",
        )


def codec(out: Path, data: Path, model: str) -> None:
    """The beginning of a recording, so that 16 sounds stay small."""
    with tempfile.TemporaryDirectory() as folder:
        given = excerpt(data / "kathleen_en/wavs/kathleen_a0001.flac", 0.0, 1.8, Path(folder))
        make_page(model, [given], out, credit=f"recording: {READER}; {TRAINED}")


def steps(out: Path, data: Path, model: str) -> None:
    """Two captions with the same times; every step has a picture and a sound of each."""
    captions = ["dog at 0.5-1.5 and rooster at 3-4", "rain at 0.5-1.5 and helicopter at 3-4"]
    make_page(model, captions, out, fields={"seconds": 5.0, "controls": {"steps": 5}}, credit=SOUNDS)


def training(out: Path, data: Path, run: str) -> None:
    """The curves of a run, and one of its samples at a few validations."""
    with tempfile.TemporaryDirectory() as folder:
        short = Path(folder) / Path(run).name
        (short / "samples").mkdir(parents=True)
        shutil.copy(Path(run) / "metrics.jsonl", short)
        made = sorted(Path(run, "samples").glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))
        for path in [made[round(index * (len(made) - 1) / (STEPS - 1))] for index in range(STEPS)]:
            (short / "samples" / path.name).mkdir()
            shutil.copy(path / f"{SAMPLE}.wav", short / "samples" / path.name)
        make_page(str(short), [], out, credit=f"sample: {READER}; {TRAINED}")


MAKERS: dict[str, tuple[Callable[[Path, Path, str], None], str | None]] = {
    "speech": (speech, VOICE), "alignment": (alignment, None), "vocoders": (vocoders, VOCODER),
    "singing": (singing, "svc/world"), "codec": (codec, None), "steps": (steps, None), "training": (training, None),
}  # fmt: skip


def excerpt(path: Path, start: float, end: float, folder: Path) -> str:
    """A part of a recording, in seconds, as a file of the same name in ``folder``."""
    audio = Audio.load(path)
    first, last = round(start * audio.sample_rate), round(end * audio.sample_rate)
    return str(Audio(audio.samples[first:last], audio.sample_rate).save(folder / f"{path.stem}.wav"))


def take_pictures() -> None:
    """A picture of the upper part of each page that there is."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in MAKERS:
            if not (PAGES / name).is_dir():
                continue
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(120_000)
            page.goto((PAGES / name / "index.html").absolute().as_uri())
            picture = PICTURES / f"page_{name}.png"
            page.screenshot(path=picture)
            Image.open(picture).convert("RGB").resize((750, 938)).quantize(CUT).save(picture, optimize=True)
        browser.close()


def main() -> None:
    """Makes the pages, prints their sizes, and takes their pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, help="folder of the recordings")
    parser.add_argument("--page", action="append", default=[], metavar="PAGE=MODEL", help="a page that needs a model")
    parser.add_argument("--only", action="append", choices=[*MAKERS], help="make this page, and leave the others")
    args = parser.parse_args()
    models = {name: model for name, (_, model) in MAKERS.items() if model}
    models |= dict(text.split("=", 1) for text in args.page)
    for name, model in models.items() if args.data else ():
        if args.only is None or name in args.only:
            MAKERS[name][0](PAGES / name, args.data, model)
    for folder in sorted(PAGES.iterdir()):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{folder.name}: {size / 1e6:.2f} MB" + (f", more than {MOST / 1e6} MB" if size > MOST else ""))
    take_pictures()


if __name__ == "__main__":
    main()
