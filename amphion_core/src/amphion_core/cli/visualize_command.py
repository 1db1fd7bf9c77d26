"""Write a page that shows what a model does with an input: stages, pictures and sounds, without a server."""

import argparse
from pathlib import Path
from typing import Any

from amphion_core.cli.completion import complete


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion visualize``."""
    parser.add_argument(
        "model", help="card, weights folder, run, or a model without weights; a run alone gives its training curves"
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="a text for tts (or a recording, with --set text=...), a caption for tta, a recording for svc, vocoder "
        "and codec; a second one is shown beside the first",
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="the folder to write; an earlier page is replaced"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="a further field of the request, such as singer=NAME or controls={steps: 8}; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--compare", action="append", default=[], metavar="NAME=VALUE",
        help="a field in which a second condition differs, shown beside the first; may be repeated",
    )  # fmt: skip
    parser.add_argument("--vocoder", help="the vocoder of models whose output is a mel (the model's own)")
    parser.add_argument(
        "--against", action="append", default=[], metavar="VOCODER",
        help="a further vocoder of the same mel, for a page about vocoders; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--credit", default="", metavar="TEXT", help="shown on the page: who made the recordings, and their licences"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, or auto: a GPU if there is one (cpu)")
    complete(
        parser,
        model=("cards", "paths"),
        inputs=("paths",),
        vocoder=("cards:vocoder", "paths"),
        against=("cards:vocoder",),
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the page whole or not at all, and say where it is."""
    from amphion_core.visualize.making import make_page

    index = make_page(
        args.model, args.inputs, args.out, fields=dict(map(_pair, args.set)), others=dict(map(_pair, args.compare)),
        vocoder=args.vocoder, against=args.against, device=args.device, credit=args.credit,
    )  # fmt: skip
    print(f"wrote {index}; open it in a browser, no server is needed")
    return 0


def _pair(word: str) -> tuple[str, Any]:
    from amphion_core import yaml
    from amphion_core.errors import RecipeError

    key, equals, value = word.partition("=")
    if not equals or not key:
        raise RecipeError(f"{word!r} is not NAME=VALUE", hint="write --set NAME=VALUE")
    try:
        return key, yaml.parse(value, where=key)
    except RecipeError:
        return key, value  # such as a sentence with a colon
