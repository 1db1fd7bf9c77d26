"""``python -m amphion_core`` is ``amphion``: what torchrun and accelerate launch start."""

import sys

from amphion_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
