"""``python -m amphion_core`` does the same as ``amphion``; torchrun and accelerate launch start it."""

import sys

from amphion_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
