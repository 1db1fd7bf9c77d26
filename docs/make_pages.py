"""Makes the ready-made pages ``docs/pages`` and their pictures ``docs/pictures/page_*.png``.

Run from the root: python docs/make_pages.py RECORDING TEXT ALIGNER. RECORDING is speech under a free licence, TEXT is
what is said in it, and ALIGNER is a model that can align them. It needs playwright with Chromium, and Pillow.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from amphion_core.visualize.making import make_page

DOCS = Path(__file__).parent
PAGES, PICTURES = DOCS / "pages", DOCS / "pictures"
VOICE, VOCODER = "tts/fastspeech2@kathleen", "vocoder/hifigan@kathleen"
SIZE, CUT = {"width": 1000, "height": 1250}, 128  # pixels of a picture; colours


def main(recording: str, text: str, aligner: str) -> None:
    """Makes each page anew, and takes its picture."""
    make_page(VOICE, ["Good morning, dear listeners."], PAGES / "speech")
    make_page(aligner, [recording], PAGES / "alignment", fields={"text": text})
    make_page(VOCODER, [recording], PAGES / "vocoders")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in ("speech", "alignment", "vocoders"):
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(120_000)
            page.goto((PAGES / name / "index.html").absolute().as_uri())
            picture = PICTURES / f"page_{name}.png"
            page.screenshot(path=picture)
            Image.open(picture).convert("RGB").resize((750, 938)).quantize(CUT).save(picture, optimize=True)
        browser.close()
    size = sum(path.stat().st_size for path in PAGES.rglob("*") if path.is_file())
    print(f"pages: {size / 1e6:.2f} MB in {PAGES}")


if __name__ == "__main__":
    main(*sys.argv[1:])
