"""Does `engine lesson` list, run, write pages that open offline, and refuse what it cannot do?"""

import html.parser
import json
import re
import shutil
import subprocess

import lesson_pages
import pytest

from engine import lessons, plot
from engine.lessons import Deck, NotAtHandError, web

FEW = {"001": Deck("MLP and backpropagation", ("autograd",)), "003": Deck("Basics", ("image-classifier", "hinge"))}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# Every page in a frame of each width; a page is loaded when all its frames are, and they when their pictures are.
HARNESS = """<!DOCTYPE html><meta charset="utf-8"><body>FRAMES<pre id="found"></pre><script>
onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, pictures = [...page.images];
    return {
      file: frame.src.split("/").pop(), width: frame.clientWidth,
      overflow: page.documentElement.scrollWidth - frame.clientWidth,
      missing: pictures.filter(picture => !picture.naturalWidth).length, pictures: pictures.length,
    };
  });
  document.getElementById("found").textContent = JSON.stringify(found);
};
</script></body>"""


def pages_in(folder):
    """The pages of all lessons that can be run here, at reduced size, and the index."""
    outcomes = {}
    for name in lessons.names():
        try:
            outcomes[name] = web.Outcome(lesson_pages.page(name))
        except NotAtHandError as error:
            outcomes[name] = web.Outcome(None, str(error), skipped=True)
            continue
        web.write_lesson(folder, lessons.get(name), outcomes[name].page)
    web.write_index(folder, outcomes)
    return outcomes


class References(html.parser.HTMLParser):
    """What a page refers to, and whether its pictures say what they show."""

    def __init__(self, text):
        super().__init__()
        self.found, self.pictures = [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.found += [given[key] for key in ("src", "href") if key in given]
        assert tag not in ("script", "iframe", "object")
        if tag == "img":
            self.pictures += 1
            assert given["alt"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lessons")
    return folder, pages_in(folder)


@pytest.mark.skipif(not plot.available(), reason="matplotlib is not installed")
def test_pages_hold_all_that_they_show(written):
    folder, outcomes = written
    files = {path.name for path in folder.iterdir()}
    assert files == {"index.html"} | {f"{name}.html" for name, one in outcomes.items() if one.page is not None}
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8")
        references = References(text)
        outside = [one for one in references.found if not one.startswith("data:") and one not in files]
        assert outside == [], path.name
        assert not re.search(r"url\(|@import|https?://", re.sub(r"base64,[\w+/=]+", "", text)), path.name
    for name, outcome in outcomes.items():
        if outcome.page is not None:
            text = (folder / f"{name}.html").read_text(encoding="utf-8")
            assert References(text).pictures == len(outcome.page.pictures)
            assert all(f"<td>{web._text(row.quantity)}</td>" in text for row in outcome.page.rows)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.skipif(not plot.available(), reason="matplotlib is not installed")
def test_a_browser_shows_every_page_whole_wide_and_narrow(written, tmp_path):
    folder, _ = written
    files = sorted(path.name for path in folder.iterdir())
    frames = "".join(
        f"<iframe src='{(folder / name).as_uri()}' style='border: 0; width: {width}px; height: 900px'></iframe>"
        for name in files
        for width in (1280, 390)
    )
    harness = tmp_path / "harness.html"
    harness.write_text(HARNESS.replace("FRAMES", frames))
    shown = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            harness.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert [line for line in shown.stderr.splitlines() if "CONSOLE" in line] == []
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', shown.stdout, re.S)[1]))
    assert {(one["file"], one["width"]) for one in found} == {(name, width) for name in files for width in (1280, 390)}
    assert [one for one in found if one["overflow"] > 0 or one["missing"]] == []
    assert all(one["pictures"] or one["file"].endswith("index.html") for one in found)


# -- the command line ----------------------------------------------------------------------------------


def test_without_a_name_the_lessons_are_listed_by_deck(engine):
    code, out, err = engine("lesson")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "lecture 000: Introduction to deep learning"
    assert len(lines) == len(lessons.DECKS) + len(lessons.names())
    assert any(re.match(r"  autograd +Automatic differentiation: ", line) for line in lines)
    code, out, _ = engine("lesson", "--json")
    assert [one["name"] for one in json.loads(out)] == list(lessons.names())


def test_one_lesson_prints_its_table(engine):
    code, out, err = engine("lesson", "autograd")
    assert (code, err) == (0, "")
    assert re.search(r"∂d/∂a, backward pass +11 +11 +0 +yes", out)
    assert "∂d/∂a = 1 · c + (1 · a) · 1" in out
    assert "Lecture 001" in out
    assert "9 of 9 rows agree; ran for" in out
    assert "2 pictures: --output DIR draws them" in out
    code, out, _ = engine("lesson", "Autograd", "--json")
    found = json.loads(out)
    assert (code, found["lesson"], found["agrees"], found["device"]) == (0, "autograd", True, "cpu")
    assert found["rows"][2]["quantity"] == "∂d/∂a, backward pass"
    assert found["rows"][2]["engine"] == 11.0


def test_a_lesson_says_with_which_options_it_ran(engine, here):
    code, out, _ = engine("lesson", "xor", "--epochs", "3", "--seed", "1", "--output", "out")
    line = "python -m engine lesson xor --hidden 4 --learning-rate 0.1 --epochs 3 --seed 1"
    assert f"run     {line}\n" in out
    assert f"<span>{line}</span>" in (here / "out" / "xor.html").read_text(encoding="utf-8")
    assert code == 1, "three epochs are too few"


def test_a_row_that_does_not_agree_ends_with_1(engine, monkeypatch):
    def wrong(page):
        page.compare("one", 1, 2, tolerance=0.5)

    monkeypatch.setattr("engine.lessons.lecture_001.autograd.run", wrong)
    code, out, _ = engine("lesson", "autograd")
    assert code == 1
    assert re.search(r"one +1 +2 +1 > 0.5 +no", out)
    assert "0 of 1 rows agree" in out


def test_output_writes_the_page_and_the_index(engine, here):
    code, out, _ = engine("lesson", "autograd", "--output", "out")
    assert code == 0
    assert out.endswith("page    out/autograd.html\n")
    assert sorted(path.name for path in (here / "out").iterdir()) == ["autograd.html", "index.html"]
    index = (here / "out" / "index.html").read_text(encoding="utf-8")
    assert "<a href='autograd.html'>" in index
    assert "9 of 9 rows agree" in index
    assert "not run: python -m engine lesson xor" in index
    (here / "file").write_text("")
    code, _, err = engine("lesson", "autograd", "--output", "file")
    assert code == 1
    assert err == "engine lesson: file: no folder can be made: File exists. Name another place.\n"


def test_all_skips_what_is_not_at_hand_and_goes_on(engine, here, monkeypatch):
    monkeypatch.setattr(lessons, "DECKS", FEW)
    monkeypatch.setattr(web, "DECKS", FEW)
    monkeypatch.delenv("ENGINE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    code, out, err = engine("lesson", "--all")
    assert (code, err) == (0, "")
    assert re.search(r"image-classifier +skipped: cifar-10 is not at hand", out)
    assert re.search(r"2 lessons, \d+ rows, 1 skipped or failed, .* s; index lessons/index.html\n$", out)
    assert sorted(path.name for path in (here / "lessons").iterdir()) == ["autograd.html", "hinge.html", "index.html"]
    assert "<a href='hinge.html'>Next: " in (here / "lessons" / "autograd.html").read_text(encoding="utf-8")
    assert "skipped: cifar-10 is not at hand" in (here / "lessons" / "index.html").read_text(encoding="utf-8")
    code, out, _ = engine("lesson", "--all", "--output", "again", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["lessons"]["autograd"]["agrees"]
    assert "skipped" in found["lessons"]["image-classifier"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("xorr",), "lesson 'xorr' is unknown; did you mean 'xor'"),
        (("autograd", "--epochs", "3"), "lesson autograd has no --epochs; it has no options of its own"),
        (("xor", "--hidden", "3,4"), "--hidden 3,4: lesson xor has one hidden layer; give one width"),
        (("xor", "--all"), "xor and --all were given; give one of them"),
        (("--all", "--seed", "1"), "--seed is of one lesson; name it: engine lesson NAME --seed"),
        (("--seed", "1"), "--seed is of one lesson"),
        (("--output", "out"), "--output was given and no lesson; name one, or give --all"),
        (("autograd", "--device", "tpu"), "'tpu' is unknown"),
        (("xor", "--epochs", "0"), "'0' was given; allowed are whole numbers from 1"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(engine, line, said):
    code, out, err = engine("lesson", *line)
    assert code == 2
    assert out == ""
    assert said.replace("'", "") in err.replace("'", "").replace('"', "")
    assert err.count("\n") == 1
