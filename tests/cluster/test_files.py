"""Files that this computer keeps of a cluster."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eksnet.cluster.files import write_whole


def test_a_file_is_replaced_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.json"
    write_whole(path, "one")
    write_whole(path, "é")
    assert path.read_bytes() == "é".encode()
    assert path.stat().st_mode & 0o077 == 0
    assert os.listdir(path.parent) == ["run.json"]


def test_what_cannot_be_written_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_whole(path, "one")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    assert path.read_text() == "one"
    assert os.listdir(tmp_path) == ["run.json"]
