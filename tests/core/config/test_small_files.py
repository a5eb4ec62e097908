"""Settings files are read whole, and so must be files, and small."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from hyenadna_cli.core.config import small_files
from hyenadna_cli.core.config.small_files import read_small


def test_a_file_is_read_to_its_last_byte(tmp_path, monkeypatch):
    path = tmp_path / "settings.toml"
    path.write_text("ä = 1\n", encoding="utf-8")
    assert read_small(path) == "ä = 1\n"

    monkeypatch.setattr(small_files, "_MAX_BYTES", 7)
    assert read_small(path) == "ä = 1\n"
    monkeypatch.setattr(small_files, "_MAX_BYTES", 6)
    with pytest.raises(OSError, match="is larger than"):
        read_small(path)


def test_a_device_or_a_directory_is_no_such_file(tmp_path):
    for path in (Path("/dev/zero"), tmp_path):
        for takes_pipes in (False, True):
            with pytest.raises(OSError, match="is not a file"):
                read_small(path, takes_pipes=takes_pipes)
    with pytest.raises(FileNotFoundError):
        read_small(tmp_path / "missing")


def test_a_pipe_is_read_where_the_user_names_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is not a file"):
        read_small(tmp_path / "pipe")

    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("a = 1\n",))
    writer.start()
    assert read_small(tmp_path / "pipe", takes_pipes=True) == "a = 1\n"
    writer.join()
