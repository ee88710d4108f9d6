"""Is a table of text read as it stands, by both readers alike, and does an error name line and column?"""

import csv
import gzip
import io
import lzma
import random
import sys
import warnings

import numpy as np
import pytest

from engine.data.formats import arrow, delimited, layouts
from engine.data.table import Table
from engine.errors import ArgumentError, DataError, UnknownNameError

NAN = float("nan")


@pytest.fixture(params=["csv", "pyarrow", "pyarrow, in pieces"])
def way(request, monkeypatch):
    """Which reader is used: by default, pyarrow is for files above 1 MB alone."""
    if request.param == "csv":
        monkeypatch.setitem(sys.modules, "pyarrow", None)  # as where it is not installed
    else:
        pytest.importorskip("pyarrow", reason="the extra tables is not installed: pyarrow's way is not tested")
        find = layouts.find
        monkeypatch.setattr(layouts, "find", lambda *given: find(*given)._replace(small=False))
        monkeypatch.setattr(arrow, "_PIECE", 1 << 20 if request.param == "pyarrow" else 120)
        monkeypatch.setattr(arrow, "_BLOCK", 1 << 20 if request.param == "pyarrow" else 90)
    return request.param


@pytest.fixture
def table(tmp_path, way):
    """A function that reads text, or bytes, from a file."""

    def read(content, **options):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return delimited.read(path, **options)

    return read


def test_one_column(table):
    assert_columns(table("a\n1\n2\n\n"), {"a": [1, 2]})
    assert_columns(table("1\n2"), {"0": [1, 2]})
    assert_columns(table('kind\n"x, y"\nz\nz\n'), {"kind": ["x, y", "z", "z"]})


def assert_columns(table, expected):
    assert list(table.names) == list(expected)
    for name, values in expected.items():
        column = table.columns[name]
        if any(isinstance(value, str) for value in values):
            assert table.is_text(name), name
            assert column.tolist() == list(values), name
        else:
            assert column.dtype == np.float64, name
            np.testing.assert_array_equal(column, np.array(values, float), err_msg=name)
            np.testing.assert_array_equal(np.signbit(column), np.signbit(np.array(values, float)), err_msg=name)


AWKWARD = {
    "quotes": ('a,b\n1,"x, y"\n2,"say ""hi"""\n3,"two\nlines"\n', [1, 2, 3], ["x, y", 'say "hi"', "two\nlines"]),
    "a quote inside": ('a,b\n1,5" wide\n2,"x"y\n', [1, 2], ['5" wide', "xy"]),
    "quotes after blanks": ('a,b\n1, "x, y"\n2, "z"\n', [1, 2], ["x, y", "z"]),
    "quoted numbers": ('a,b\n"1","2"\n"-3"," 4 "\n', [1, -3], [2, 4]),
    "CRLF": ("a,b\r\n1,x\r\n2,y\r\n", [1, 2], ["x", "y"]),
    "CRLF, quoted": ('a,b\r\n1,"x\r\ny"\r\n2,z', [1, 2], ["x\r\ny", "z"]),
    "CR": ("a,b\r1,x\r2,y\r", [1, 2], ["x", "y"]),
    "no final newline": ("a,b\n1,x\n2,y", [1, 2], ["x", "y"]),
    "byte order mark": ("\ufeffa,b\n1,x\n2,y\n", [1, 2], ["x", "y"]),
    "a mark inside": ("a,b\n1,\ufeffx\n2,y\n", [1, 2], ["\ufeffx", "y"]),
    "empty lines": ("\n\na,b\n\n1,x\n\n  \n2,y\n\n\n", [1, 2], ["x", "y"]),
    "quoted names": ('"a","b"\n1,x\n2,y\n', [1, 2], ["x", "y"]),
    "numbers": ("a,b\n1e-3,+5\n.5,5.\n-0,1E+2\n007,-.5e1\n", [0.001, 0.5, -0.0, 7], [5, 5, 100, -5]),
    "not numbers": ("a,b\n1,1_000\n2,0x10\n3,１\n4,1e\n", [1, 2, 3, 4], ["1_000", "0x10", "１", "1e"]),
    "true is a text": ("a,b\n1,true\n2,false\n", [1, 2], ["true", "false"]),
    "too small is 0": ("a,b\n1e-400,1\n2,-1e-400\n", [0, 2], [1, -0.0]),
    "blanks": ("a,b\n 1 ,\t2\n3 , 4\n", [1, 3], [2, 4]),
    "other blanks": ("a,b\n\u00a01,x\u00a0\n3, y \n", [1, 3], ["x", "y"]),
    "unicode": ("a,b\n1,日本\n2,naïve 🙂\n", [1, 2], ["日本", "naïve 🙂"]),
    "missing": (
        "a,b\nNA,x\n2,\n?,NA\nNaN,null\n nan ,z\n,None\n",
        [NAN, 2, NAN, NAN, NAN, NAN],
        ["x", *[None] * 3, "z", None],
    ),
    "a missing quoted word": ('a,b\n"NA",x\n"",""\n3,y\n', [NAN, NAN, 3], ["x", None, "y"]),
    "inf is a text among texts": ("a,b\n1,inf\n2,x\n3,y\n", [1, 2, 3], ["inf", "x", "y"]),
    "half numbers are texts": ("a,b\n1,x\n2,5\n", [1, 2], ["x", "5"]),
    "a column without cells": ("a,b\n1,\n2,\n", [1, 2], [NAN, NAN]),
    "long cells": ("a,b\n1," + "x" * 300_000 + "\n2,y\n", [1, 2], ["x" * 300_000, "y"]),
    "tabs": ("a\tb\n1\tx, y\n2\t\n", [1, 2], ["x, y", None]),
    "semicolons": ('a;b\n1;"x;y"\n2;z\n', [1, 2], ["x;y", "z"]),
    "decimal commas are texts": ("a;b\n1;2,5\n2;3,25\n", [1, 2], ["2,5", "3,25"]),
    "white space": ("  a    b\n 1.5  x \n   2   y\n", [1.5, 2], ["x", "y"]),
    "white space, quoted": ('"a" "b"\n1 "x y"\n2 "say ""hi"""\n', [1, 2], ["x y", 'say "hi"']),
}


@pytest.mark.parametrize("case", AWKWARD)
def test_awkward_tables(table, case):
    text, first, second = AWKWARD[case]
    found = table(text)
    assert found.has_header
    assert_columns(found, {"a": first, "b": second})


@pytest.mark.parametrize("way", ["pyarrow"], indirect=True)
def test_pyarrow_reads_most_of_the_awkward_ones(table, monkeypatch):
    """It does not leave them to the csv module: then the comparison above would be of a reader with itself."""
    left, careful = set(), delimited._read
    for case, (text, *_) in AWKWARD.items():
        monkeypatch.setattr(delimited, "_read", lambda *given, case=case: left.add(case) or careful(*given))
        table(text)
    assert left == {"quotes after blanks", "empty lines", "white space", "white space, quoted"}


@pytest.mark.parametrize("seed", range(300))
def test_random_tables(table, seed):
    """Tables that Python's csv module wrote; what is expected is known before they are written."""
    chance = random.Random(seed)
    separator = chance.choice(",;\t|")
    rows = chance.randint(3, 40)
    columns = [random_column(chance, rows, index) for index in range(chance.randint(2, 6))]
    buffer = io.StringIO()
    writer = csv.writer(
        buffer,
        delimiter=separator,
        lineterminator=chance.choice(["\n", "\r\n"]),
        quoting=chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    )
    has_header = chance.random() < 0.5
    names = [
        f"{chance.choice(['name', 'a b', 'ä'])} {index}" if has_header else str(index) for index in range(len(columns))
    ]
    if has_header:
        writer.writerow(names)
    writer.writerows(zip(*(written for written, _ in columns), strict=True))
    text = buffer.getvalue()
    if chance.random() < 0.3:
        text = text.rstrip("\r\n")
    found = table(text, separator=separator, header=has_header)
    assert_columns(found, {name: values for name, (_, values) in zip(names, columns, strict=True)})


def random_column(chance, rows, index):
    """Cells as they are written, and what they say."""
    missing = chance.choice([0, 0, 0.2])
    words = [
        "red",
        "x,y",
        'a "b" c',
        "two\nlines",
        "cr\r\nlf",
        "ünïcode",
        "0x10",
        "1_0",
        "12 km",
        "-",
        "e5",
        "1;2",
        "tab\tin",
        "'",
    ]
    written, values = [], []
    for row in range(rows):
        if row and chance.random() < missing:  # the first cell of each is there, so that its kind is
            written.append(chance.choice(["", "NA", "?", "null"]))
            values.append(NAN if index % 2 == 0 else None)
        elif index % 2 == 0:
            number = chance.choice([chance.gauss(0, 1e3), chance.randint(-5, 5), chance.uniform(-1, 1) * 1e-200])
            forms = [repr(number), f" {number!r}", f"{number:+.17g}", f"{float(number):.17E}"]
            written.append(chance.choice(forms))
            values.append(float(number))
        else:
            written.append(chance.choice(words))
            values.append(written[-1])
    return written, values


SEPARATORS = {
    ",": [
        "1,2,3\n4,5,6\n",
        "a b,c d\n1,x y\n2,z w\n",
        "2020-01-01 10:00,5\n2020-01-02 11:00,6\n",
        "1,2,3;4\n5,6,7;8\n9,1,a;b\n",
    ],
    "\t": ["1\t2\n3\t4\n", "a, b\t1\nc, d\t2\n", "1\t\t3\n\t5\t6\n"],
    ";": ["1;2\n3;4\n", "1,5;2,5;3,5\n4,5;6,5;7,5\n", "name;x\na, b;1\nc, d;2\n"],
    " ": ["1 2  3\n4  5 6\n", "  0.1   18.0\n  12   3\n", "1 2\t3\n4\t5 6\n"],
    None: ["1\n2\n3\n", "hello\nworld, again\nx\n", '"a b"\n"c"\n'],
}


@pytest.mark.parametrize(("separator", "text"), [(mark, text) for mark, texts in SEPARATORS.items() for text in texts])
def test_separators(tmp_path, separator, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    assert layouts.find(path, None, None, delimited.Cells(delimited.DEFAULT_MISSING)).separator == separator


HEADERS = {
    "a,b\n1,x\n2,y\n": True,
    "1,x\n2,y\n": False,
    "a,b\n1,2\n": True,
    "id,2020\nx,1\ny,2\n": False,  # a number among the names: told by header=True
    ",a\n0,5\n1,6\n": True,  # what pandas writes
    "?,setosa\n5,setosa\n6,virginica\n": False,
    "size,label\nbig,yes\nsmall,no\nbig,no\n": True,
    "big,yes\nsmall,no\nbig,no\n": False,
    "x,x\nbig,no\nbig,yes\n": False,
    "a,b\n,\n,\n1,\n": True,
}


@pytest.mark.parametrize("text", HEADERS)
def test_headers(table, text):
    found = table(text)
    assert found.has_header is HEADERS[text]
    assert len(found) == text.count("\n") - found.has_header


def test_header_and_separator_can_be_told(table):
    assert_columns(table("2020,2021\n1,2\n", header=True), {"2020": [1], "2021": [2]})
    assert_columns(table("a,b\nc,d\nc,e\n", header=False), {"0": ["a", "c", "c"], "1": ["b", "d", "e"]})
    assert_columns(table("1|2\n3|4\n", separator="|"), {"0": [1, 3], "1": [2, 4]})
    assert_columns(table("1¦2\n3¦4\n", separator="¦"), {"0": [1, 3], "1": [2, 4]})
    assert_columns(table("1,2\n3,4\n", separator=";"), {"0": ["1,2", "3,4"]})
    with pytest.raises(ArgumentError, match="separator ',,' was given; it is one character"):
        table("1,,2\n", separator=",,")


def test_names(table):
    assert table(" a ,,c\n1,2,3\n").names == ("a", "1", "c")
    found = table("x,y,2020\n1,2,3\n", header=True)
    assert [found.column(wanted) for wanted in ("y", 0, -1, "-3", "2020", "1")] == ["y", "x", "2020", "x", "2020", "y"]
    with pytest.raises(
        UnknownNameError, match=r"no column '3'; It has 'x', 'y', '2020'\. Columns are .* from 0 to 2\."
    ):
        found.column(3)
    with pytest.raises(UnknownNameError, match=r"no column 'lenght'; did you mean 'length'\?"):
        table("length,x\n1,2\n").column("lenght")


def test_texts_that_look_like_numbers(table):
    found = table("code,x\n007,1\n1.50,2\nNA,3\n", text=["code"])
    assert_columns(found, {"code": ["007", "1.50", None], "x": [1, 2, 3]})
    assert_columns(table("1,2\n3,4\n", text=["-1"]), {"0": [1, 3], "1": ["2", "4"]})
    with pytest.raises(UnknownNameError, match="no column 'z'"):
        table("x,y\n1,2\n", text=["z"])


def test_other_missing_words(table):
    found = table("x,y\n-999,none\n -999.0 ,NA\n3,z\n", missing=["-999", "none"])
    assert_columns(found, {"x": [NAN, NAN, 3], "y": [None, "NA", "z"]})
    with pytest.raises(ArgumentError, match="missing 'NA' was given; it is a list"):
        table("x\n1\n", missing="NA")


WRONG = {
    "": ": it is empty; it needs one line for each sample",
    "\n\r\n \n": ": it is empty",
    "a,b\n": ": it has nothing below its header",
    "a,b\n1,2\n3\n": r", line 3: it has 1 cell; 2 are needed, as in its header\. Correct the line, or name another",
    '1,2\n"3\n",4\n\n5,6,7\n': ", line 5: it has 3 cells; 2 are needed, as in its first line",
    "a,b,a,b\n1,2,3,4\n": ": its header has 'a', 'b' more than once",
    "age,b\n1,x\n2,y\nx,z\n3,inf\n": (
        r", line 4, column 'age': the cell is 'x'; the column is one of finite numbers\. "
        r'Correct it, or read the column as text with text=\["age"\]\.'
    ),
    "a,b\n1,1\n2,-Infinity\n": r", line 3, column 'b': the cell is '-Infinity'",
    "a,b\n1,inf\n2,-inf\n": ", line 2, column 'b': the cell is 'inf'",
    "a,b\n1,2\n1e999,3\n": ", line 3, column 'a': the cell is '1e999'",
    "a,b\n1,2\n+nan,3\n": r", line 3, column 'a': the cell is '\+nan'",
    'a,b\n1,"x\n\ny"\n\nz,w\n2,v\n': ", line 6, column 'a': the cell is 'z'",
    "id,2020\n1,2\n3,4\n": r", line 1, column 0 \(counted from 0\): the cell is 'id'; .* with header=True\.",
    f"a,b\n1,2\n{'x' * 60},3\n4,5\n": rf", line 3, column 'a': the cell is '{'x' * 37}\.\.\.'; ",
    'a,b\n1,x\n2,"y\n3,z\n': ", line 3: a quoted cell of this row never ends",
    '1,"x\n2,y': ", line 1: a quoted cell of this row never ends",
    "a,b\n1\n": ", line 2: it has 1 cell; 2 are needed",
    'a\n1\n"2\n': ", line 3: a quoted cell of this row never ends",
    "a,b\n1,x\0\n": ", line 2: it holds a null byte",
    b"a,b\n1,x\n2,\xff\n": ", line 3: byte 0xff is no text in UTF-8",
    "a,b\n1,2\n".encode("utf-16"): ", line 1: byte 0xff is no text in UTF-8",
}


@pytest.mark.parametrize("content", WRONG)
def test_what_is_refused(table, content):
    with pytest.raises(DataError, match="table.csv" + WRONG[content]) as caught:
        table(content)
    assert "\n" not in str(caught.value)


def test_lines(table):
    found = table('a,b\n\n1,"x\ny"\n2,z\n\n\n3,w\n')
    assert [found.line(row) for row in range(3)] == [3, 5, 8]
    assert found.place(2, "b").endswith("table.csv, line 8, column 'b'")
    some = found.take(np.array([2, 0])).take([1])
    assert some.line(0) == 3
    assert_columns(some, {"a": [1], "b": ["x\ny"]})
    assert found.take(slice(1, None)).lines.tolist() == [5, 8]
    assert found.take(found.columns["a"] > 2).line(0) == 8
    assert repr(found).endswith("table.csv', 3 rows, 2 columns)")


def test_a_table_of_ones_own():
    found = Table("mine", ["x", "t"], {"t": ["a", None], "x": [1, 2]}, range(1, 3), True)
    assert_columns(found, {"x": [1, 2], "t": ["a", None]})
    assert found.texts("x") == ["1", "2"]
    assert_columns(found.chosen(["t"]).renamed(["u"]), {"u": ["a", None]})


def large(rows, cells):
    """Text of more than 1 MB and the columns in it: numbers, texts, and what the case is about."""
    chance = np.random.default_rng(0)
    numbers = chance.normal(size=rows)
    words = [f"word {index % 50}" for index in range(rows)]
    lines = zip(map(repr, numbers.tolist()), words, cells, strict=True)
    return "number,word,case\n" + "".join(",".join(line) + "\n" for line in lines), numbers, words


ROWS = 40_000
LATE = {
    "empty at first": ([""] * (ROWS - 2) + ["x", "y"], [None] * (ROWS - 2) + ["x", "y"]),
    "numbers at first": (["1.50"] * 10_000 + ["x"] * 30_000, ["1.50"] * 10_000 + ["x"] * 30_000),
    "texts at first, missing words": ([" NA"] * 500 + ["+1"] * 39_500, [NAN] * 500 + [1.0] * 39_500),
    "a number written otherwise": (["1"] * 39_999 + ["\u00a02"], [1.0] * 39_999 + [2.0]),
    "a quote late": (["1"] * 39_999 + ['"2"'], [1.0] * 39_999 + [2.0]),
    "a line end in quotes late": (["x"] * 39_999 + ['"a\nb"'], ["x"] * 39_999 + ["a\nb"]),
}


@pytest.mark.parametrize("case", LATE)
@pytest.mark.parametrize("compressed", [bytes, gzip.compress, lzma.compress])
def test_large_files(tmp_path, monkeypatch, case, compressed):
    """What the first rows do not show, in files that pyarrow reads without being made to; the csv module agrees."""
    if compressed is not bytes and case != "empty at first":
        compressed = bytes
    monkeypatch.setattr(arrow, "_PIECE", 1 << 19)
    monkeypatch.setattr(arrow, "_BLOCK", 1 << 17)
    cells, values = LATE[case]
    text, numbers, words = large(ROWS, cells)
    path = tmp_path / "table.csv"
    path.write_bytes(compressed(text.encode()))
    for _ in range(2):
        found = delimited.read(path)
        assert_columns(found, {"number": numbers, "word": words, "case": values})
        assert (found.line(0), found.line(ROWS - 1)) == (2, ROWS + 1)
        monkeypatch.setitem(sys.modules, "pyarrow", None)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1"] * 39_999 + ["x"], "line 40001, column 'case': the cell is 'x'"),
        (["1"] * 39_999 + ["-inf"], "line 40001, column 'case': the cell is '-inf'"),
        (["1"] * 39_999 + ["2,3"], "line 40001: it has 4 cells; 3 are needed"),
        (["x"] * 39_999 + ["\0"], "line 40001: it holds a null byte"),
        (["x"] * 39_998 + ['"y', "z"], "line 40000: a quoted cell of this row never ends"),
    ],
)
def test_large_files_that_are_refused(tmp_path, monkeypatch, cells, message):
    path = tmp_path / "table.csv"
    path.write_text(large(ROWS, cells)[0], encoding="utf-8")
    for _ in range(2):
        with pytest.raises(DataError, match=message):
            delimited.read(path)
        monkeypatch.setitem(sys.modules, "pyarrow", None)


def test_a_large_file_that_is_no_text_or_damaged(tmp_path):
    path = tmp_path / "table.csv"
    content = large(ROWS, ["x"] * ROWS)[0].encode()
    path.write_bytes(content + b"1,\xe9t\xe9,3\n")
    with pytest.raises(DataError, match="line 40002: byte 0xe9 is no text"):
        delimited.read(path)
    path.write_bytes(gzip.compress(content)[:-1000])
    with pytest.raises(DataError, match=r"table\.csv.*cut off"):
        delimited.read(path)


def test_a_line_longer_than_what_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(layouts, "_SMALL", 10_000)
    path = tmp_path / "table.csv"
    line = ",".join(f"{index}.125" for index in range(5_000)) + "\n"
    path.write_text(line * 3, encoding="utf-8")
    found = delimited.read(path)
    assert len(found.names) == 5_000
    np.testing.assert_array_equal(found.columns["4999"], [4999.125] * 3)


def test_without_pyarrow_a_very_large_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(delimited, "_SLOW", 1 << 20)
    path = tmp_path / "table.csv"
    path.write_text(large(ROWS, ["x"] * ROWS)[0], encoding="utf-8")
    with pytest.warns(
        UserWarning, match=r'table.csv: 1 MB are read by Python alone.*pip install "chalkgrad\[tables\]"'
    ):
        delimited.read(path)


def test_missing_files(tmp_path):
    with pytest.raises(DataError, match=r"absent\.csv: there is no such file"):
        delimited.read(tmp_path / "absent.csv")


def test_the_csv_modules_limit_is_as_it_was(table):
    before = csv.field_size_limit()
    table("a,b\n1,2\n")
    with pytest.raises(DataError):
        table("a,b\n1,2\n3\n")
    assert csv.field_size_limit() == before


# -- real files: what is expected is read by NumPy or the csv module ------------------------------------


@pytest.mark.parametrize("way", ["csv", "pyarrow"], indirect=True)
@pytest.mark.parametrize(
    ("name", "separator"),
    [
        ("uci/boston_housing.data", None),
        ("uci/cal_housing.data", ","),
        ("uci/optdigits.tra", ","),
        ("uci/wine.data", ","),
        ("formats/qmnist-test-labels.tsv.gz", "\t"),
    ],
)
def test_real_tables_of_numbers(real_data, way, name, separator):
    found = delimited.read(real_data / name)
    expected = np.loadtxt(real_data / name, delimiter=separator)
    assert not found.has_header
    assert found.names == tuple(map(str, range(expected.shape[1])))
    np.testing.assert_array_equal(np.stack(list(found.columns.values()), axis=1), expected)
    assert found.line(len(found) - 1) == len(expected)


@pytest.mark.parametrize("way", ["csv", "pyarrow"], indirect=True)
@pytest.mark.parametrize(
    ("name", "rows", "missing", "texts"),
    [
        ("uci/iris.data", 150, {}, {"4"}),
        ("uci/wdbc.data", 569, {}, {"1"}),
        ("uci/breast-cancer-wisconsin.data", 699, {"6": 16}, set()),
        ("uci/california_housing.csv", 20640, {"total_bedrooms": 207}, {"ocean_proximity"}),
        (
            "formats/penguins.csv",
            344,
            {"bill_length_mm": 2, "bill_depth_mm": 2, "flipper_length_mm": 2, "body_mass_g": 2, "sex": 11},
            {"species", "island", "sex"},
        ),
    ],
)
def test_real_mixed_tables(real_data, way, name, rows, missing, texts):
    found = delimited.read(real_data / name)
    assert len(found) == rows
    assert {column for column in found.names if found.is_text(column)} == texts
    assert {
        column: int(found.missing(column).sum()) for column in found.names if found.missing(column).any()
    } == missing
    with open(real_data / name, newline="", encoding="utf-8") as file:
        cells = [row for row in csv.reader(file) if row][found.has_header :]
    for index, column in enumerate(found.names):
        expected = [None if row[index] in ("", "NA", "?") else row[index] for row in cells]
        if column not in texts:
            expected = np.array([NAN if cell is None else float(cell) for cell in expected])
        np.testing.assert_array_equal(found.columns[column], expected)


def test_no_warning_on_the_way(table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table("a,b\n1,x\n")
