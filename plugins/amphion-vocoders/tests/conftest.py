"""Recordings on which trainers of vocoders are tested."""

import pytest
import soundfile

import amphion_core as amphion
from amphion_core.data.prepare import prepare


@pytest.fixture(scope="session")
def four_clips(data_pack, tmp_path_factory):
    """(prepared folder, the deviation of each clip) of four clips of one second, which are validated on as well."""
    root, out = tmp_path_factory.mktemp("clips"), tmp_path_factory.mktemp("prepared")
    levels = []
    for path in sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[:4]:
        samples, rate = soundfile.read(path, dtype="float32", frames=30000)
        soundfile.write(root / path.name, samples[-rate:], rate)
        levels.append(float(samples[-rate:].std()))
    reader = amphion.get("datasets", "folder")
    list(prepare(reader(reader.Config(root=str(root))), root, out, processes=1))
    lines = "".join(path.read_text(encoding="utf-8") for path in sorted(out.glob("*.jsonl")))
    for path in out.glob("*.jsonl"):
        path.unlink()
    for name in ("train", "dev"):
        (out / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return out, levels
