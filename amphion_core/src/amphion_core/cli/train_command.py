"""Train a model as a recipe describes, in a run folder that can be resumed."""

import argparse
import os
from pathlib import Path

from amphion_core.cli.completion import complete
from amphion_core.end_with_parent import end_with_launcher
from amphion_core.errors import MissingPackage, RecipeError
from amphion_core.files import path_hint


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion train``."""
    parser.add_argument(
        "recipe", help="name of a recipe (amphion recipes lists them), its path, or the folder of a run to continue"
    )
    changes = "changes such as data.root=prepared/voice engine.steps=1000"
    parser.add_argument("override", nargs="*", default=[], help=changes)
    parser.add_argument("-o", "--out", dest="folder", type=Path, help="folder of the run; default: runs/RECIPE")
    parser.add_argument("--resume", action="store_true", help="continue the run in the folder")
    complete(parser, recipe=("recipes", "paths"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train; the last line names the weights folder. Exit code 130 if the run was interrupted."""
    from amphion_core import recipe

    end_with_launcher()  # as early as possible: torch takes seconds to import
    name, overrides = recipe.name_and_overrides([args.recipe, *args.override])
    source = Path(name)
    if os.path.isfile(source / "config.yaml"):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        folder, name = args.folder or source, str(source / "config.yaml")
    elif os.path.isfile(source / ".lock"):  # noqa: PTH113 - of a start that was killed at once
        raise RecipeError(f"no run was begun in the folder {source}", hint="amphion recipes, then amphion train RECIPE")
    else:
        folder = args.folder or Path("runs") / source.stem
    if found := next((word for word in overrides if "=" not in word and Path(word, "dataset.yaml").is_file()), None):
        raise RecipeError(f"{found} is a prepared folder without the name of its setting", hint=f"data.root={found}")
    read = recipe.read(name, overrides)
    try:
        import accelerate  # noqa: F401
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise MissingPackage(f"training needs {error.name}", hint='pip install "amphion-core[train]"') from error
    from amphion_core.training.run import train

    if args.resume and args.folder is None and not folder.exists():
        hint = path_hint(folder, "leave out --resume to start it")
        raise RecipeError(f"there is no run {folder} to continue", hint=hint)
    weights = train(read, folder, resume=args.resume)
    if weights is None:
        return 130
    if int(os.environ.get("RANK", "0")) == 0:
        print(f"weights: {weights}   curves: tensorboard --logdir {folder}")
    return 0
