"""``amphion prepare --check-text``: transcripts that do not say what is spoken are found, listed, and left out."""

import json

import pytest

from amphion_core.cli.main import main


@pytest.fixture
def corpus(data_pack, tmp_path):
    """Three recordings in the folder ``corpus``, the second with the text of another."""
    import csv
    import shutil

    with (data_pack / "kathleen_en/manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "dev"][:3]
    root = tmp_path / "corpus"
    root.mkdir()
    for row in rows:
        shutil.copy(data_pack / "kathleen_en" / row["path"], root)
    texts = [rows[0]["text"], rows[0]["text"], rows[2]["text"]]
    table = "".join(f"{row['id']}|{text}\n" for row, text in zip(rows, texts, strict=True))
    (root / "metadata.csv").write_text(table, encoding="utf-8")
    return root, [row["id"] for row in rows], [row["text"] for row in rows]


def test_a_wrong_transcript_is_found_left_out_and_only_changes_are_checked_again(corpus, tmp_path, capsys):
    root, ids, texts = corpus
    out = tmp_path / "out"
    assert main(["prepare", "ljspeech", str(root), str(out), "--check-text", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["texts"]["doubtful"]
    assert found["id"] == ids[1] and found["value"] > 30 and found["text"] == texts[0]
    assert (out / "doubtful.txt").read_text(encoding="utf-8") == f"{ids[1]}\n"

    assert main(["prepare", "ljspeech", str(root), str(tmp_path / "less"), f"leave_out={out}/doubtful.txt"]) == 0
    assert "skipped, leave_out names it: 1" in capsys.readouterr().out

    table = root / "metadata.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(f"{ids[1]}|{texts[0]}", f"{ids[1]}|{texts[1]}"))
    assert main(["prepare", "ljspeech", str(root), str(out), "--check-text"]) == 0
    assert "texts: 3 checked, 0 doubtful" in capsys.readouterr().out
    lines = (out / "text_check/cer.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines[3:]] == [ids[1]]  # the other two were not checked again


def test_a_metric_without_a_text_or_a_limit_is_refused_before_the_work(corpus, tmp_path, capsys):
    root, _, _ = corpus
    out = str(tmp_path / "out")
    assert main(["prepare", "ljspeech", str(root), out, "--check-text", "mcd"]) == 2
    assert "mcd does not compare audio with its text" in capsys.readouterr().err
    assert main(["prepare", out, "--check-text", "cerr"]) == 2
    assert "cer" in capsys.readouterr().err
