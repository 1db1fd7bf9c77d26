"""Make a new plugin, check one against the conformance kit, or list what is installed."""

import argparse
import sys
from pathlib import Path

from amphion_core import registry
from amphion_core.scaffold import KINDS, clashes, new_plugin


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion plugin``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", help="new, check or list")
    new = actions.add_parser("new", help="write a small plugin that works, with its test and CI")
    new.add_argument("name", help="name of the distribution, such as amphion-repeat")
    new.add_argument("--kind", required=True, choices=sorted(KINDS), help="what the plugin provides")
    new.add_argument("--out", type=Path, help="the new folder; by default the plugin's name")
    check = actions.add_parser("check", help="run the conformance kit over an installed distribution")
    check.add_argument("name", help="name of the distribution")
    actions.add_parser("list", help="distributions with components: version, count, home page")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Carry out the action; exit code 1 when a check fails."""
    if args.action == "new":
        return _new(args)
    return _check(args.name) if args.action == "check" else _list()


def _new(args: argparse.Namespace) -> int:
    folder = args.out or Path(args.name)
    for path in new_plugin(args.name, args.kind, folder):
        print(f"wrote {path}")
    for sentence in clashes(args.name, args.kind):
        print(f"note: {sentence}", file=sys.stderr)
    print(f"next: pip install -e {folder} && amphion plugin check {args.name}")
    return 0


def _check(dist: str) -> int:
    from amphion_core.errors import AmphionError
    from amphion_core.testing import CheckFailed, checks_of

    passed = failed = 0
    for check, ref in checks_of(dist):
        try:
            check(ref)
            passed += 1
        except (CheckFailed, AmphionError) as error:
            failed += 1
            print(f"failed  {ref.kind} {ref.name}  {check.__name__}: {error}")
        except Exception as error:  # an error in the component's own code also counts as a failed check
            failed += 1
            print(f"failed  {ref.kind} {ref.name}  {check.__name__}: {type(error).__name__}: {error}")
    print(f"{dist}: {passed} checks passed, {failed} failed")
    return 1 if failed else 0


def _list() -> int:
    from importlib.metadata import metadata

    counts: dict[tuple[str, str], int] = {}
    for kind in registry.BASES:
        for ref in registry.refs(kind):
            counts[ref.dist, ref.version] = counts.get((ref.dist, ref.version), 0) + 1
    for (dist, version), count in sorted(counts.items()):
        about = metadata(dist)
        home = next(iter(about.get_all("Home-page") or about.get_all("Project-URL") or []), "")
        print("\t".join((dist, version, f"{count} components", home)).rstrip())
    return 0
