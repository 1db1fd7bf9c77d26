"""Convert a published checkpoint into a weights folder: safetensors, config and card."""

import argparse
from pathlib import Path

from amphion_core.cli.completion import complete


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion convert``."""
    parser.add_argument("name", help="the architecture, such as vocoder/hifigan")
    parser.add_argument(
        "checkpoint", type=Path, help="the publisher's file (safetensors, torch, ONNX), or a folder of accelerate"
    )
    parser.add_argument(
        "--layout",
        help="the publisher whose tensor names the file uses; amphion info NAME lists them; default: the one that fits",
    )
    parser.add_argument(
        "--config",
        type=Path,
        help="the publisher's config, JSON or YAML; by default the one beside the checkpoint",
    )
    parser.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="KEY=PATH",
        help="a further file that the layout reads, such as vocab=vocab.json; may be repeated",
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder to write")
    complete(parser, name=("models",))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read the checkpoint, check every key, and write the folder whole or not at all."""
    from amphion_core import fetching, loading, weights, weights_cache
    from amphion_core.checkpoints import publisher_files
    from amphion_core.checkpoints.folders import checkpoint_file

    config = publisher_files.read_config(args.config) if args.config else None
    files = dict(map(_key_and_path, args.file))
    layout = args.layout or loading.find_layout(args.name, args.checkpoint, config=config, files=files)
    net = loading.convert(args.name, args.checkpoint, layout=layout, config=config, files=files)
    file = checkpoint_file(args.checkpoint)
    origin = f"`{file.name}` (layout {layout}, sha256 {weights_cache.sha256(file)})"
    card = f"# {args.name}\n\nConverted from {origin}.\n\nLicence: that of the original weights.\n"
    folder = weights.save(net, args.out, card=card)
    print(f"layout: {layout}")
    print(f"sha256 for a card: {fetching.digest(folder)}")
    print(f"wrote {folder}; amphion info {folder} shows it; in Python: amphion_core.load({str(folder)!r})")
    return 0


def _key_and_path(text: str) -> tuple[str, Path]:
    from amphion_core.errors import AmphionError

    key, equals, path = text.partition("=")
    if not key or not equals or not path:
        raise AmphionError(f"--file {text!r} is not KEY=PATH", hint="write --file vocab=vocab.json")
    return key, Path(path)
