"""Paths in manifests: relative to the corpus, right with symbolic links, and right after the corpus has moved."""

import os
from pathlib import Path


def absolute(path: str | Path) -> Path:
    """``path`` from the root of the file system. Symbolic links in it stay, except before a ``..``.

    ``link/..`` is the folder above the link's target, so a ``..`` cannot be removed without following the link.
    """
    parts = Path(path).absolute().parts
    end = max((index + 1 for index, part in enumerate(parts) if part == ".."), default=0)
    return Path(os.path.realpath(Path(*parts[:end])), *parts[end:]) if end else Path(*parts)


def is_plain(path: str) -> bool:
    """Whether `absolute` would not change a path. Only text is looked at, because there are many."""
    return path.startswith("/") and not any(part in path for part in ("/.", "//")) and not path.endswith("/")


def relative_to_corpus(path: str | Path, root: str | Path) -> str:
    """``path`` relative to the corpus's folder ``root``, as a manifest stores it.

    A symbolic link inside the corpus keeps its own name, so it can be moved with the corpus. A file outside of the
    corpus keeps its absolute path, which does not change when the corpus moves.
    """
    text, prefix = os.fspath(path), f"{root}/"
    if is_plain(text) and text.startswith(prefix):
        return text[len(prefix) :]
    path, root = absolute(path), absolute(root)
    if path.is_relative_to(root):
        return str(path.relative_to(root))
    real_root = root.resolve()  # a reader may have followed the links above the corpus
    for same_file in (path, Path(os.path.realpath(path))):  # unlike resolve, it takes links in a circle
        if same_file.is_relative_to(real_root):
            return str(same_file.relative_to(real_root))
    return str(path)
