"""Preparing: skipped files and their reasons, splits that do not leak, links, a cluster, continuing after a kill."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

import amphion_core as amphion
from amphion_core import yaml
from amphion_core.cli.main import main
from amphion_core.data.manifest import Manifest
from amphion_core.data.paths import relative_to_corpus
from amphion_core.data.prepare import PrepareConfig, prepare, split_of
from amphion_core.errors import DataError

RATE = 16000
TONE = np.sin(np.arange(RATE) / 7).astype(np.float32) * 0.5


def folder(root, **fields):
    component = amphion.get("datasets", "folder")
    return component(component.Config(root=str(root), **fields))


def run(root, out, processes=1, **options):
    list(prepare(folder(root), root, out, PrepareConfig(**options), processes=processes))
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    for speaker in "abcdefgh":
        for n in range(3):
            path = root / speaker / f"{n}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, TONE, RATE)
    return root


def test_bad_files_cost_one_line_each_and_nothing_else(corpus, tmp_path):
    bad = corpus / "bad"
    bad.mkdir()
    (bad / "text.wav").write_text("no audio", encoding="utf-8")
    (bad / "none.wav").write_bytes(b"")
    soundfile.write(bad / "empty.wav", np.zeros(0), RATE)
    soundfile.write(bad / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(bad / "short.wav", TONE[:800], RATE)
    soundfile.write(bad / "nan.wav", np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    soundfile.write(bad / "fast.wav", TONE, 44100)
    soundfile.write(bad / "loud.wav", np.sign(TONE), RATE)
    report = run(corpus, tmp_path / "out", rate=RATE)
    reasons = {Path(item["path"]).name: item["reason"] for item in report["items_left_out"]}
    assert reasons == {
        "text.wav": "not readable audio (Format not recognised)", "none.wav": "it is empty (0 bytes)",
        "empty.wav": "no samples",
        "silent.wav": "silent", "short.wav": "shorter than 0.1 s", "nan.wav": "samples that are not finite",
        "fast.wav": "a rate of 44100 Hz, not 16000 Hz",
    }  # fmt: skip
    assert report["clipped"] == 1
    assert sum(split["utterances"] for split in report["splits"].values()) == 25


def test_long_recordings_without_text_are_cut_and_those_with_text_left_out(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    for name in ("plain", "said"):
        soundfile.write(root / f"{name}.wav", np.tile(TONE, 25), RATE)
    (root / "said.txt").write_text("a long story", encoding="utf-8")
    report = run(root, tmp_path / "out", longest=10)
    assert report["left_out"] == {"longer than 10 s": 1}
    records = [record.utterance for record in Manifest(tmp_path / "out")]
    assert [round(u.start, 3) for u in records] == [0.0, 8.333, 16.667]
    assert {u.extra["recording"] for u in records} == {"plain"}


@pytest.mark.parametrize("by", ["recording", "speaker"])
def test_no_group_stands_in_two_splits(corpus, tmp_path, by):
    run(corpus, tmp_path / "out", split_by=by, dev=0.2, test=0.2)
    groups = {}
    for split in ("train", "dev", "test"):
        for record in Manifest(tmp_path / "out", split):
            key = record.utterance.speaker if by == "speaker" else record.utterance.path
            groups.setdefault(key, set()).add(split)
    assert all(len(splits) == 1 for splits in groups.values())
    assert set.union(*groups.values()) == {"train", "dev", "test"}


def test_splits_do_not_depend_on_the_order_and_hardly_on_additions():
    names = [f"g{n}" for n in range(400)]
    first = split_of(names, dev=0.05, test=0.05)
    assert first == split_of(names[::-1], dev=0.05, test=0.05)
    more = split_of([*names, "new1", "new2"], dev=0.05, test=0.05)
    assert sum(first[name] != more[name] for name in names) <= 4
    assert set(split_of(["a", "b"], dev=0.1, test=0.1).values()) == {"train"}


@pytest.mark.parametrize("through", ["link", "link/../corpus", "above/corpus"])
def test_a_symlinked_root_gives_manifests_that_move_with_the_corpus(corpus, tmp_path, through):
    (tmp_path / "link").symlink_to(corpus)
    (tmp_path / "above").symlink_to(tmp_path)
    root, out = tmp_path / through, tmp_path / "out"
    run(root, out)
    manifest = Manifest(out)
    paths = [json.loads(line)["path"] for line in manifest.path.read_text(encoding="utf-8").splitlines()]
    assert set(paths) <= {f"{speaker}/{n}.wav" for speaker in "abcdefgh" for n in range(3)}
    manifest.require_audio()
    corpus.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="has moved"):
        Manifest(out).require_audio()
    about = yaml.read(out / "dataset.yaml")
    for moved in (str(tmp_path / "elsewhere"), "../elsewhere"):  # a relative root starts at the prepared folder
        (out / "dataset.yaml").write_text(yaml.dump(about | {"root": moved}), encoding="utf-8")
        assert all(Path(record.utterance.path).is_file() for record in Manifest(out))


def test_links_inside_the_corpus_keep_their_names_and_linked_folders_are_read(corpus, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    soundfile.write(outside / "far.wav", TONE, RATE)
    (corpus / "linked").symlink_to(outside)
    (corpus / "a/again.wav").symlink_to(corpus / "a/0.wav")
    (corpus / "a/loop").symlink_to(corpus)
    run(corpus, tmp_path / "out", dev=0, test=0)
    ids = {record.utterance.id: record.utterance.path for record in Manifest(tmp_path / "out")}
    assert len(ids) == 26
    assert ids["linked/far"] == str(corpus / "linked/far.wav") and ids["a/again"] == str(corpus / "a/again.wav")


def test_paths_of_a_reader_that_follows_links_are_relative_all_the_same(corpus, tmp_path):
    (tmp_path / "link").symlink_to(corpus)
    assert relative_to_corpus(corpus / "a/0.wav", tmp_path / "link") == "a/0.wav"
    assert relative_to_corpus(tmp_path / "link/a/0.wav", corpus) == "a/0.wav"
    assert relative_to_corpus(tmp_path / "other.wav", corpus) == str(tmp_path / "other.wav")
    deep = tmp_path / "deep"
    deep.symlink_to(corpus / "a")
    assert relative_to_corpus(deep / "../b/1.wav", corpus) == "b/1.wav"


@pytest.mark.skipif(find_spec("ray") is None, reason='ray is not installed: pip install "amphion-core[ray]"')
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_ray_cluster_writes_what_one_process_writes(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = Path("corpus")  # the workers of a cluster have another working folder
    list(prepare(folder(root), root, Path("one"), PrepareConfig()))
    list(prepare(folder(root), root, Path("ray"), PrepareConfig(), ray=True))
    for name in ("train.jsonl", "dev.jsonl", "test.jsonl", "report.json", "dataset.yaml"):
        assert Path("one", name).read_bytes() == Path("ray", name).read_bytes()


def test_two_processes_write_what_one_writes(corpus, tmp_path):
    run(corpus, tmp_path / "one")
    run(corpus, tmp_path / "two", processes=2)
    for name in ("train.jsonl", "dev.jsonl", "test.jsonl", "report.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_interrupted_preparation_goes_on_where_it_stopped(corpus, tmp_path, monkeypatch):
    from amphion_core.data import prepare as module

    monkeypatch.setattr(module, "PORTION", 4)
    steps = prepare(folder(corpus), corpus, tmp_path / "out", processes=1)
    for _ in range(3):
        next(steps)
    steps.close()  # as a kill would leave it
    again = list(prepare(folder(corpus), corpus, tmp_path / "out", processes=1))
    assert again[0] == (8, 24)
    assert again[-1] == (24, 24)
    assert not (tmp_path / "out/.prepare").exists()


def test_a_file_that_changed_meanwhile_is_read_again(corpus, tmp_path, monkeypatch):
    from amphion_core.data import prepare as module

    monkeypatch.setattr(module, "PORTION", 4)
    steps = prepare(folder(corpus), corpus, tmp_path / "out", processes=1)
    next(steps), next(steps)
    steps.close()
    soundfile.write(corpus / "a/0.wav", np.zeros(RATE), RATE)
    report = run(corpus, tmp_path / "out")
    assert report["left_out"] == {"silent": 1}


def test_of_two_files_with_one_id_the_second_is_skipped_and_names_the_first(corpus, tmp_path):
    soundfile.write(corpus / "a/0.flac", TONE, RATE)
    report = run(corpus, tmp_path / "out")
    why = "another utterance has the same id: a/0.flac"
    assert report["files_skipped"] == [{"path": "a/0.wav", "reason": why}]
    assert report["files"] == {"found": 25, "read": 24, "skipped": 1}


def test_a_corpus_with_nothing_usable_is_an_error(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    soundfile.write(root / "a.wav", np.zeros(RATE), RATE)
    with pytest.raises(DataError, match=r"none of the 1 utterances .* most often: silent"):
        run(root, tmp_path / "out")


def test_the_command_prepares_the_data_pack_and_says_where(data_pack, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        main(["prepare", "ljspeech", str(data_pack / "kerstin_de"), str(out), "language=de", "--processes", "1"]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"manifests: {out}   (amphion train RECIPE data.root={out})"
    assert any(line.startswith("train: 40 utterances, 3.0 minutes, 1 speaker, 40 with a text") for line in lines)
    assert Manifest(out)[0].utterance.language == "de"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["folder", "nowhere", "out"], "there is no folder nowhere"),
        (["ljspech", ".", "out"], "ljspeech"),
        (["folder", ".", "out", "longst=3"], "longst: no such field"),
        (["folder", ".", "out", "dev=2"], "dev: input should be less than 1"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["prepare", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_failed_preparation_leaves_nothing_and_the_next_one_succeeds(tmp_path):
    root, out = tmp_path / "corpus", tmp_path / "out"
    root.mkdir()
    soundfile.write(root / "a.wav", np.zeros(RATE), RATE)
    with pytest.raises(DataError, match="silent"):
        run(root, out)
    assert not out.exists()
    (out / ".prepare/left").mkdir(parents=True)  # of a failure of an older version
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="silent"):
        run(root, out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    soundfile.write(root / "a.wav", TONE, RATE)
    assert run(root, out)["files"] == {"found": 1, "read": 1, "skipped": 0}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prepared", "--features", "mel.nope=3"], "features.0.nope: no such field"),
        (["prepared", "--features", "mell.mel=tacotron2_22k_80"], "did you mean mel?"),
        (["prepared", "--features", "dev=0.1"], "dev=0.1 is neither a feature nor a field of one"),
        (["prepared"], "prepared is prepared already"),
        (["folder", ".", "file"], "file cannot be a folder: "),
        (["folder", ".", "a\0b"], "cannot be written: embedded null byte"),
        (["folder", ".", "out", "longest=1e-9"], "longest: input should be greater than or equal to 0.1"),
        (["folder", ".", "out", "shortest=40"], "shortest: 40 s is not below longest, 30 s"),
        (["folder", ".", "out", "dev=0.5", "test=0.5"], "dev: 0.5 and test: 0.5 leave nothing for train"),
        (["folder", ".", "out", "rate=1"], "rate: input should be greater than or equal to 1000"),
    ],
)
def test_options_beyond_their_bounds_are_one_sentence(words, message, prepared, tmp_path, capsys, monkeypatch):
    prepared({"train": {"a": TONE}})
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["prepare", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("number", ["-1", "0", "1.5", "³", "100000"])
def test_the_number_of_processes_has_bounds(number, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["prepare", "folder", ".", "out", "--processes", number])
    assert caught.value.code == 2
    assert "is not a number from 1 to" in capsys.readouterr().err


def test_silence_at_the_ends_is_left_out_and_loudness_is_evened_without_changing_files(tmp_path):
    from amphion_core.data.reading import Reader

    root, out = tmp_path / "corpus", tmp_path / "out"
    root.mkdir()
    rest = np.zeros(RATE // 2, np.float32)
    soundfile.write(root / "quiet.wav", np.concatenate([rest, TONE / 10, TONE / 10, rest]), RATE)
    soundfile.write(root / "loud.wav", np.concatenate([TONE, TONE]), RATE)
    before = {path.name: path.read_bytes() for path in root.iterdir()}
    report = run(root, out, trim=40, loudness=-20, dev=0, test=0)
    assert {path.name: path.read_bytes() for path in root.iterdir()} == before
    found = {record.utterance.id: record.utterance for record in Manifest(out, "train")}
    assert found["quiet"].start == pytest.approx(0.45, abs=0.04) and found["quiet"].duration == pytest.approx(
        2.1, abs=0.06
    )
    assert found["loud"].start == 0 and found["loud"].duration == 2
    assert found["quiet"].gain == pytest.approx(found["loud"].gain + 20, abs=0.3)
    assert report["trimmed"] == pytest.approx(0.9, abs=0.06) and report["gains"] == [
        found["loud"].gain,
        found["quiet"].gain,
    ]
    levels = [np.sqrt(np.square(Reader().read(one, RATE)[RATE // 4 : RATE]).mean()) for one in found.values()]
    assert levels[0] == pytest.approx(levels[1], rel=0.03)


def test_a_gain_never_makes_the_audio_clip_and_what_is_only_silence_is_skipped(tmp_path):
    root, out = tmp_path / "corpus", tmp_path / "out"
    root.mkdir()
    click = np.zeros(RATE, np.float32)
    click[RATE // 2 : RATE // 2 + 40] = 0.9
    soundfile.write(root / "click.wav", click, RATE)
    soundfile.write(root / "tone.wav", TONE, RATE)
    report = run(root, out, trim=40, loudness=0, dev=0, test=0, shortest=0.3)
    assert report["left_out"] == {"shorter than 0.3 s": 1}
    (record,) = Manifest(out, "train")
    assert record.utterance.gain == pytest.approx(20 * np.log10(0.99 / 0.5), abs=0.01)
