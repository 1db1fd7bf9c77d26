"""Bounds the memory in which torch keeps prepared convolutions on a CPU. Imports no torch."""

import os


def keep_few_convolutions() -> None:
    """Let torch keep few prepared convolutions. By default it keeps 1024 of each kind, one for each length of input.

    Each sentence and each recording has another length, so with every one of them the process would grow by some 15 MB.
    Works before torch has computed a convolution, and does not change what the user has set.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, "32")
