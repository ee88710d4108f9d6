"""Is a file written whole or not at all, and does what is no file stay what it is?"""

import os
import stat
import threading

import pytest

import engine as en
from engine.commands.predict import _check_output
from engine.files import write_whole


def test_a_file_is_made_and_replaced(tmp_path):
    for content in (b"one", b"", b"two\n" * 1000):
        write_whole(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


def test_a_pipe_gets_the_content_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_whole(pipe, b"what it says\n")
    reader.join(timeout=10)
    assert read == [b"what it says\n"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_pipe_behind_a_link(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    write_whole(tmp_path / "link", b"x")
    reader.join(timeout=10)
    assert read == [b"x"]
    assert (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path, there):
    (tmp_path / "deep").mkdir()
    if there:
        (tmp_path / "deep" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to(os.path.join("deep", "file"))
    (tmp_path / "second").symlink_to("link")
    write_whole(tmp_path / "second", b"new")
    assert os.readlink(tmp_path / "link") == os.path.join("deep", "file")
    assert os.readlink(tmp_path / "second") == "link"
    assert (tmp_path / "deep" / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path / "deep") == ["file"]


def test_what_cannot_be_written_is_told_by_the_name_that_was_given(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "lost").symlink_to(tmp_path / "no" / "file")
    (tmp_path / "file").write_bytes(b"")
    for name, words in [
        ("circle", "Too many levels of symbolic links"),
        ("lost", "No such file or directory"),
        ("no/file", "No such file or directory"),
        ("file/below", "Not a directory"),
        (".", "Is a directory"),
    ]:
        with pytest.raises(en.FileError, match="could not be written") as caught:
            write_whole(os.path.join(tmp_path, name), b"x")
        assert str(caught.value).startswith(f"{os.path.join(tmp_path, name)}: could not be written: {words}")
    assert sorted(os.listdir(tmp_path)) == ["circle", "file", "lost"]
    assert (tmp_path / "circle").is_symlink()


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    write_whole(tmp_path / "file", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(en.FileError, match="No space left on device") as caught:
        write_whole(tmp_path / "file", b"new")
    assert caught.value.errno == 28
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_predictions_may_go_to_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    _check_output(tmp_path / "pipe", "x.csv")
