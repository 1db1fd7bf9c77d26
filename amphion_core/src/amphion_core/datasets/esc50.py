"""ESC-50: meta/esc50.csv (filename,fold,target,category,esc10,src_file,take) and audio/."""

from collections.abc import Iterator

from pydantic import Field

from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, seconds
from amphion_core.tables import read_table


class ESC50(FolderReader):
    """Environmental sounds of five seconds in 50 classes; five folds that share no source recording."""

    class Config(RootConfig):
        """The folder, and the folds of the dev and test splits."""

        dev_folds: tuple[int, ...] = Field(default=(4,), description="folds of the dev split")
        test_folds: tuple[int, ...] = Field(default=(5,), description="folds of the test split")

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every sound in the order of the table; the caption is the name of the class."""
        self.require("meta/esc50.csv")
        table = read_table(self.root / "meta" / "esc50.csv", header=True)
        for number, row in table.records():
            where, name, fold = f"meta/esc50.csv line {number}", row.get("filename", ""), row.get("fold", "")
            if not name or not (fold.isascii() and fold.isdigit()):
                self.problems.append((where, "it has no filename or fold"))
                continue
            if (path := self.find(name, where, "audio")) is None:
                continue
            name = path.stem
            split = (
                "test"
                if int(fold) in self.config.test_folds
                else "dev"
                if int(fold) in self.config.dev_folds
                else "train"
            )
            kept = {key: row[key] for key in ("fold", "target", "category") if row.get(key)}
            yield Utterance(
                name, str(path), seconds(path), caption=row.get("category", "").replace("_", " "), split=split,
                extra=kept | {"recording": row.get("src_file") or name},
            )  # fmt: skip
        self.problems += table.problems
