"""Tables and lines: where lines end, which delimiter and quoting a file has, encodings, and rows that are refused."""

import csv
import os

import pytest
from hypothesis import given, settings, strategies as st

from amphion_core.errors import DataError
from amphion_core.tables import DELIMITERS, read_lines, read_table, read_text, split_lines

NAMES = {"id", "path", "file", "text", "transcript", "speaker"}


@pytest.fixture
def table(tmp_path):
    def read(content, name="t.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, **({"names": NAMES} | options))

    return read


def rows(found):
    return [list(row.cells) for row in found.rows]


def test_lines_end_at_line_feeds_and_carriage_returns_only():
    inner = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"
    assert split_lines(f"a{inner}b\r\nc\rd\n\ne") == [f"a{inner}b", "c", "d", "", "e"]
    assert split_lines("") == []


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"))))
def test_joined_lines_are_split_again(lines):
    assert split_lines("".join(line + "\n" for line in lines)) == lines


PLAIN = [  # content, rows
    ("a1|Hello, you; there\na2|x\n", [["a1", "Hello, you; there"], ["a2", "x"]]),
    ("a1 | x \r\na2 | y\r", [["a1", "x"], ["a2", "y"]]),
    ("\ufeffa1|x\n\n   \na2|y", [["a1", "x"], ["a2", "y"]]),
    ("a1,x; y\na2,z; w\n", [["a1", "x; y"], ["a2", "z; w"]]),
    ("a1;x, y\na2;z, w\n", [["a1", "x, y"], ["a2", "z, w"]]),
    ("a1\tx, y | z\na2\tw\n", [["a1", "x, y | z"], ["a2", "w"]]),
    ("a, b.wav|x\na2|y\na3|z\n", [["a, b.wav", "x"], ["a2", "y"], ["a3", "z"]]),
    ("sep=;\na1;x\n", [["a1", "x"]]),
    ("a1\na2\n", [["a1"], ["a2"]]),
    # quotation marks that are characters
    ('a3|"quoted, start|Quoted, start\n', [["a3", '"quoted, start', "Quoted, start"]]),
    ('a4|He said "hi".|He said hi.\n', [["a4", 'He said "hi".', "He said hi."]]),
    ('a5|"Yes."|Yes.\na6|No.|No.\n', [["a5", '"Yes."', "Yes."], ["a6", "No.", "No."]]),
    ('a5|"Yes," he said.\na6|"No\na7|x"\n', [["a5", '"Yes," he said.'], ["a6", '"No'], ["a7", 'x"']]),
    ('a1,"Yes," he said.\na2,x\n', [["a1", '"Yes,"', None], ["a2", "x"]]),
    ('a1,He said "hi".\n', [["a1", 'He said "hi".']]),
    ('a1,"never closed\na2,x y\n', [["a1", '"never closed'], ["a2", "x y"]]),
    ('a1\t"Yes."\na2\tNo, no\n', [["a1", '"Yes."'], ["a2", "No, no"]]),
    # really quoted
    ('a1,"Hello, you"\na2,"He said ""hi""."\n', [["a1", "Hello, you"], ["a2", 'He said "hi".']]),
    ('"a1","x"\n"a2","y, z"\n', [["a1", "x"], ["a2", "y, z"]]),
    ('a1, "Hello, you"\na2, x\n', [["a1", "Hello, you"], ["a2", "x"]]),
    ('a1,"two\nlines"\na2,x\n', [["a1", "two lines"], ["a2", "x"]]),
    ('a1|"x|y"\na2|z\na3|w\n', [["a1", "x|y"], ["a2", "z"], ["a3", "w"]]),
    ('a1|"He said ""hi""."\na2|z\n', [["a1", 'He said "hi".'], ["a2", "z"]]),
    ('"a1"|"x"\n"a2"|""\n', [["a1", "x"], ["a2", ""]]),
    ('a1\t"x ""y"""\na2\tz\n', [["a1", 'x "y"'], ["a2", "z"]]),
]


@pytest.mark.parametrize(("content", "wanted"), PLAIN)
def test_delimiter_and_quoting_are_found(table, content, wanted):
    found = rows(table(content))
    if None in wanted[0]:  # a comma inside the text
        assert found[0][0] == wanted[0][0] and len(found[0]) > 1
        found[0], wanted = wanted[0], [wanted[0], *wanted[1:]]
    assert found == wanted


def test_a_joined_text_is_what_stood_in_the_file(table):
    found = table('a1|Either A | B "is" fine|x|\na2,|y\n')
    assert found.rows[0].joined(1) == 'Either A | B "is" fine|x|'
    assert table('a1,"Yes," he said.\n').rows[0].joined(1) == '"Yes," he said.'


@pytest.mark.parametrize(
    ("content", "header", "delimiter"),
    [
        ("file,text\na,x\n", ("file", "text"), ","),
        ("Path\tTranscript\tSpeaker\na\tx\tp\n", ("path", "transcript", "speaker"), "\t"),
        ("text;id\nx, y;a\n", ("text", "id"), ";"),
        ('"id"|"text"\n"a"|"x"\n', ("id", "text"), "|"),
        ("id|mood|text\na|glad|x\n", ("id", "mood", "text"), "|"),
        ("id\na\n", ("id",), ""),
        ("a|x\n", (), "|"),
        ("text|Hello there\n", (), "|"),
    ],
)
def test_a_header_is_recognised_by_its_names(table, content, header, delimiter):
    found = table(content)
    assert (found.header, found.delimiter) == (header, delimiter)
    assert found.rows[0].line == (2 if header else 1)


def test_the_suffix_tsv_means_tabs(table):
    assert rows(table("a, 1\tx\nb, 2\ty\n", "t.tsv")) == [["a, 1", "x"], ["b, 2", "y"]]


def test_records_join_a_text_that_the_delimiter_cut(table):
    found = table("id,text,speaker\na,Hello, you, there,anna\nb,x,,,\nc,y\nd,z,ben,\n")
    assert [record for _, record in found.records({"text"})] == [
        {"id": "a", "text": "Hello, you, there", "speaker": "anna"},
        {"id": "b", "text": "x", "speaker": ""},
        {"id": "c", "text": "y", "speaker": ""},
        {"id": "d", "text": "z", "speaker": "ben"},
    ]
    assert [line for line, _ in found.records()] == [3, 4, 5]
    assert found.problems == [("t.csv line 2", "it has 5 cells, but there are 3 columns")]


def test_a_row_that_cannot_be_read_is_a_problem_and_the_others_are_rows(table):
    found = table(f"a|x\nb|y\0z\nc|{'w' * 200_000}\nd|v\n")
    assert rows(found) == [["a", "x"], ["d", "v"]]
    assert found.problems == [
        ("t.csv line 2", "it has a NUL character"),
        ("t.csv line 3", "a cell has more than 131,072 characters"),
    ]


def test_line_numbers_are_right_after_quoted_line_breaks(table):
    assert [row.line for row in table('a,"1\n2\n3"\n\nb,x\n').rows] == [1, 5]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n")), min_size=2, max_size=2)),
    st.sampled_from(",;"),
)
def test_what_the_csv_library_writes_is_read_back(tmp_path_factory, cells, mark):
    path = tmp_path_factory.getbasetemp() / "written.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=mark, quoting=csv.QUOTE_ALL).writerows(cells)
    assert rows(read_table(path, delimiter=mark)) == [[cell.strip() for cell in row] for row in cells]


@settings(deadline=None)
@given(st.text(st.sampled_from('a"|,;\t\n\r \u2028x')), st.sampled_from(["", *DELIMITERS]))
def test_no_content_raises_and_no_character_is_lost(tmp_path_factory, content, mark):
    path = tmp_path_factory.getbasetemp() / "free.csv"
    path.write_bytes(content.encode())
    found = read_table(path, delimiter=mark)
    assert not found.problems
    kept = "".join("".join(row.cells) for row in found.rows)
    assert all(kept.count(letter) == content.count(letter) for letter in "ax")


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (b"a|x\nb|caf\xe9\n", r"byte 10 \(0xe9\) in line 2", "iconv -f LATIN1"),
        ("a|x\n".encode("utf-16"), r"byte 1 \(0xff\)", "iconv -f UTF-16 "),
        ("a|x\n".encode("utf-16-le"), "byte 1", "iconv -f UTF-16LE"),
        (b"\xff\xff\xff", "byte 1", "iconv"),
    ],
)
def test_another_encoding_is_refused_with_the_byte_and_the_command(table, content, message, hint):
    with pytest.raises(DataError, match=f"not UTF-8 text: {message}") as caught:
        table(content)
    assert hint in caught.value.hint


def test_a_binary_file_is_called_binary(table):
    with pytest.raises(DataError, match=r"t\.csv holds binary data"):
        table(b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in [
        (tmp_path / "pipe", "is a pipe"), (tmp_path, "is a folder"), ("/dev/zero", "is a device"),
        (tmp_path / "gone", "there is no file"), (tmp_path / ("n" * 300), "cannot be read"), ("a\0b", "cannot be read"),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=message):
            read_text(path)


def test_lines_are_numbered_and_a_nul_is_refused(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"\xef\xbb\xbf one \n\n two\x0cmore\n")
    assert read_lines(path) == [(1, "one"), (3, "two\x0cmore")]
    path.write_bytes(b"one\ntwo\0\n")
    with pytest.raises(DataError, match="line 2 has a NUL"):
        read_lines(path)


def test_two_columns_of_one_name_are_an_error(table):
    with pytest.raises(DataError, match="two columns 'text'"):
        table("id,text,Text\na,x,y\n")


def test_many_opening_marks_take_linear_time(table):
    found = table('a,"x\n' + '","\n' * 3000)  # every mark opens a cell that nothing closes
    assert len(found.rows) == 3001
