"""Run broken inputs and count how they end: python -m fuzzing [--count 1000] [--seed 1] [--only KIND[:NUMBER]]."""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from .endings import FAILURES, Fuzzer
from .inputs import MAKERS


def main() -> int:
    """Run all inputs, print each that ends wrongly and a table by kind; exit code 1 if there is one."""
    parser = argparse.ArgumentParser(prog="fuzzing", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="number of inputs; default 1000")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same inputs; default 1")
    parser.add_argument("--only", default="", help="one kind, or one input, such as audio:17")
    args = parser.parse_args()
    kind, _, number = args.only.partition(":")
    counts: dict[str, Counter[str]] = {maker.__name__: Counter() for maker in MAKERS}
    with tempfile.TemporaryDirectory() as scratch:
        fuzzer = Fuzzer(Path(scratch), args.seed)
        for index in range(args.count):
            maker, each = MAKERS[index % len(MAKERS)], index // len(MAKERS)
            if (kind and maker.__name__ != kind) or (number and each != int(number)):
                continue
            ending = fuzzer.run(maker, each)
            counts[maker.__name__][ending.name] += 1
            if ending.name in FAILURES or number:
                print(f"{maker.__name__}:{each} {ending.name}: {ending.shown}", flush=True)
            elif sys.stderr.isatty():
                print(f"\r{index + 1} of {args.count}", end="", file=sys.stderr, flush=True)
    wrong = 0
    for name, found in counts.items():
        if found:
            wrong += sum(found[failure] for failure in FAILURES)
            print(f"{name:12} " + "  ".join(f"{ending} {count}" for ending, count in found.most_common()))
    print(f"{wrong} of {sum(map(Counter.total, counts.values()))} inputs ended wrongly")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
