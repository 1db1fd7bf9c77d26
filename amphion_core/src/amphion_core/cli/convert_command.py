"""Convert a published checkpoint into a weights folder: safetensors, config and card."""

import argparse
from pathlib import Path

from amphion_core import registry
from amphion_core.errors import AmphionError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion convert``."""
    parser.add_argument("name", help="the architecture, such as vocoder/hifigan")
    parser.add_argument(
        "checkpoint", type=Path, help="the publisher's file: .safetensors, .pt, .pth, .bin, .ckpt, .onnx"
    )
    parser.add_argument("--layout", required=True, help="whose names the file uses; amphion info NAME lists them")
    parser.add_argument(
        "--config", type=Path, help="the publisher's config as JSON; by default the one beside the file"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder to make")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, check every key, write the folder whole."""
    import json

    from amphion_core import loading, weights

    registry.find("models", args.name)
    config = None
    if args.config:
        try:
            config = json.loads(args.config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise AmphionError(f"{args.config} is not readable JSON: {error}") from error
    net = loading.convert(args.name, args.checkpoint, layout=args.layout, config=config)
    origin = f"`{args.checkpoint.name}` (layout {args.layout}, sha256 {weights.sha256(args.checkpoint)})"
    card = f"# {args.name}\n\nConverted from {origin}.\n\nLicence: that of the original weights.\n"
    folder = weights.save(net, args.out, card=card)
    print(f"wrote {folder}; use it: amphion_core.load({str(folder)!r})")
    return 0
