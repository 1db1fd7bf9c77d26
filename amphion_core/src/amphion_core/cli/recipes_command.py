"""List the recipes of installed plugins, or show one with every default written out."""

import argparse

from amphion_core import recipe
from amphion_core.cli.completion import complete


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion recipes``."""
    parser.add_argument("name", nargs="?", help="name or path of a recipe: check it and print it with all defaults")
    parser.add_argument("override", nargs="*", default=[], help="changes such as optim.lr=1e-4")
    complete(parser, name=("recipes", "paths"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the list, separated by tabs, or one recipe with every default."""
    if args.name:
        print(recipe.read(*recipe.name_and_overrides([args.name, *args.override])).resolved(), end="")
        return 0
    found = list(recipe.recipes())
    for path, dist, title in found:
        print(f"{path.stem}\t{dist}\t{title}")
    if not found:
        print("no recipes: none of the installed plugins provides one")
    return 0
