"""Print the line that turns on Tab completion in bash, zsh or fish."""

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion completion``."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="your shell")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print shell code, to be used as ``eval "$(amphion completion bash)"``."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["amphion"], shell=args.shell))
    return 0
