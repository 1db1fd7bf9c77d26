"""Write a model as an ONNX file, which onnxruntime runs without PyTorch and Amphion."""

import argparse
from pathlib import Path
from typing import Any

from amphion_core.cli.completion import complete


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion export``."""
    parser.add_argument("model", help="a card such as vocoder/hifigan@kathleen, a weights folder, a run, a checkpoint")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the file to write, which ends in .onnx")
    complete(parser, model=("cards", "paths"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Load the network, write and compare the file, and print what is in it."""
    from amphion_core import loading
    from amphion_core.errors import AmphionError

    if args.out.suffix != ".onnx":
        raise AmphionError(f"{args.out} does not end in .onnx", hint=f"write -o {args.out.with_suffix('.onnx')}")
    from amphion_core import onnx_export

    onnx_export.check_packages()
    found = loading.open_weights(args.model)
    made = onnx_export.export(found.network(), args.out, about={"model": found.name} | _origin(args.model))
    for what in ("inputs", "outputs"):
        for name, text in made.description[what].items():
            print(f"{what.removesuffix('s')} {name}: {text}")
    worst = ", ".join(f"{value:.1e} at length {length}" for length, value in made.differences.items())
    print(f"largest difference between onnxruntime and PyTorch: {worst}")
    print(f"opset {made.opset}, {made.size / 1e6:.1f} MB")
    print(f"wrote {made.path}; docs/export.md shows how to run it with onnxruntime alone")
    return 0


def _origin(place: str) -> dict[str, Any]:
    """The card's name and licences, or what the weights folder's card.md says of the weights."""
    from amphion_core import cards
    from amphion_core.loading import card_with_weights

    if Path(place).expanduser().exists():
        text = Path(place).expanduser() / "card.md"
        return {"card": text.read_text(encoding="utf-8")} if text.is_file() else {}
    card: cards.Card = card_with_weights(place)
    return {"card": card.name, "title": card.title, "licence": card.licence, "data_licence": card.data_licence}
