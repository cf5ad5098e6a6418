from __future__ import annotations

import json
import os
import resource
import struct
import zipfile
from pathlib import Path

import pytest
from made import archive, attempt, lines, submission

from eksnet.checkpoints import definitions
from eksnet.errors import EksnetError
from eksnet.grading.reading import find, notebooks, read

HOSTS = definitions.of_notebook("05")[0]
GOOD = lines([attempt(HOSTS)])


def with_link(path: Path) -> None:
    link = zipfile.ZipInfo("evidence/a.jsonl")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(link, "/etc/passwd")


def encrypted(path: Path) -> None:
    archive(path, {"evidence/a.jsonl": GOOD})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def damaged(path: Path) -> None:
    archive(path, {"evidence/a.jsonl": GOOD})
    content = bytearray(path.read_bytes())
    content[60:80] = b"\xff" * 20
    path.write_bytes(content)


def with_many_files(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(5_000):
            packed.writestr(f"{number}", b"")


def lying(path: Path) -> None:
    """A list of files whose size is the writer's word: `zipfile` reads that from another place."""
    with_many_files(path)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, len(content) - 10, 100)
    path.write_bytes(content)


def sixty_four(path: Path) -> None:
    archive(path, {"evidence/a.jsonl": GOOD})
    content = path.read_bytes()
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1)
    path.write_bytes(content[:-22] + locator + content[-22:])


BOMB, MANY = b"\n" * 30_000_000, b"\n" * 3_000_000
HOSTILE = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("hello"),
    "cut": lambda path: os.truncate(archive(path, {"evidence/a.jsonl": GOOD}), 90),
    "damaged": damaged,
    "encrypted": encrypted,
    "bomb": lambda path: archive(path, {"evidence/a.jsonl": BOMB}),
    "many bombs": lambda path: archive(path, {f"evidence/{n}.jsonl": MANY for n in "abc"}),
    "parent": lambda path: archive(path, {"../evidence/a.jsonl": GOOD}),
    "parent inside": lambda path: archive(path, {"x/../../evidence/a.jsonl": GOOD}),
    "root": lambda path: archive(path, {"/evidence/a.jsonl": GOOD}),
    "backslash": lambda path: archive(path, {"..\\a": b"", "evidence/a.jsonl": GOOD}),
    "a link inside": with_link,
    "many files": with_many_files,
    "a lying list": lying,
    "zip64": sixty_four,
    "another zip": lambda path: archive(path, {"photo.png": b"x"}),
    "a link": lambda path: path.symlink_to("/etc/passwd"),
    "a pipe": os.mkfifo,
    "huge": lambda path: (path.touch(), os.truncate(path, 10**12)),
    "a folder": lambda path: path.mkdir(),
}  # fmt: skip

# Each by the bound that is for it: another one could refuse it too, later and after more work.
REASONS = {
    "text": "no complete .zip", "cut": "no complete .zip", "encrypted": "encrypted",
    "bomb": "unpacked", "many bombs": "unpacked", "parent": "outside itself",
    "parent inside": "outside itself", "root": "outside itself", "backslash": "outside itself",
    "a link inside": "a link", "many files": "too many files", "zip64": "too many files",
    "another zip": "no submission.json", "a pipe": "no ordinary file",
    "huge": "more than 16,000,000", "a folder": "no ordinary file",
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_with_a_reason(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "eve.zip"
    HOSTILE[kind](path)
    descriptors = os.listdir("/proc/self/fd")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read("eve", [path])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert os.listdir("/proc/self/fd") == descriptors
    assert found.attempts == ()
    assert len(found.faults) == 1 and found.faults[0].startswith("eve.zip: ")
    assert REASONS.get(kind, "") in found.faults[0]
    assert "Traceback" not in found.faults[0] and len(found.faults[0]) < 300
    assert grown < 40_000, "KiB"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["eve.zip"]


def deep() -> bytes:
    return b'{"criteria":' + b"[" * 50_000 + b"]" * 50_000 + b"}\n"


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\n", deep(), b"null\n", b"[]\n", b'{"format": 1}\n', b"9" * 5000 + b"\n",
        json.dumps(attempt(HOSTS) | {"at": 7}).encode() + b"\n",
        json.dumps(attempt(HOSTS) | {"criteria": [{"id": "x", "state": "BEST"}]}).encode() + b"\n",
        json.dumps(attempt(HOSTS) | {"criteria": [{"id": [], "state": "PASS"}]}).encode() + b"\n",
    ],
)  # fmt: skip
def test_a_line_that_is_no_attempt_is_counted_and_the_others_are_read(
    line: bytes, tmp_path: Path
) -> None:
    (tmp_path / "eve.jsonl").write_bytes(line + GOOD)
    found = read("eve", [tmp_path / "eve.jsonl"])
    assert (len(found.attempts), found.unreadable, found.faults) == (1, 1, ())


def test_files_folders_and_the_layout_of_nbgrader_are_found(tmp_path: Path) -> None:
    submission(tmp_path / "ada.zip", [attempt(HOSTS)])
    (tmp_path / "bob.jsonl").write_bytes(GOOD)
    submission(tmp_path / "carol" / "ps1" / "carol.zip", [attempt(HOSTS)])
    (tmp_path / "carol" / "ps1" / "timestamp.txt").write_text("2026-11-30 10:00:00 UTC")
    unpacked = tmp_path / "dan" / "evidence" / "ca-1.jsonl"
    unpacked.parent.mkdir(parents=True)
    unpacked.write_bytes(GOOD)
    submission(tmp_path / "eve" / "1.zip", [attempt(HOSTS)])
    submission(tmp_path / "eve" / "2.zip", [attempt(HOSTS)])
    (tmp_path / "gradebook.csv").touch()
    (tmp_path / ".DS_Store").touch()
    found = find(tmp_path)
    counts = {name: len(read(name, files).attempts) for name, files in found.learners.items()}
    assert counts == {"ada": 1, "bob": 1, "carol": 1, "dan": 1, "eve": 2}
    assert found.faults == ()


def test_what_is_no_submission_is_listed_and_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    submission(outside / "x.zip", [attempt(HOSTS)])
    folder = tmp_path / "submissions"
    submission(folder / "ada.zip", [attempt(HOSTS)])
    (folder / "link.zip").symlink_to(outside / "x.zip")
    (folder / "links").symlink_to(outside)
    (folder / "inner").mkdir()
    (folder / "inner" / "more").symlink_to(outside)
    (folder / "inner" / "own.zip").symlink_to(outside / "x.zip")
    (folder / "essay.pdf").touch()
    (folder / "empty").mkdir()
    submission(folder / "<script>alert(1)<" / "x.zip", [attempt(HOSTS)])
    submission(folder / "=HYPERLINK(1).zip", [attempt(HOSTS)])
    submission(folder / "a\u202eb.zip", [attempt(HOSTS)])
    submission(folder / ("x" * 150 + ".zip"), [attempt(HOSTS)])
    found = find(folder)
    assert {name for name, _ in found.faults} == {
        "link.zip", "links", "essay.pdf", "empty", "<script>alert(1)<", "=HYPERLINK(1).zip",
        "a\\u202eb.zip", "x" * 100,
    }  # fmt: skip
    assert sorted(found.learners) == ["ada", "inner"]
    assert read("inner", found.learners["inner"]).attempts == ()


def test_one_name_in_two_forms_of_unicode_is_one_learner(tmp_path: Path) -> None:
    submission(tmp_path / "zo\u00eb.zip", [attempt(HOSTS)])
    submission(tmp_path / "zoe\u0308" / "1.zip", [attempt(HOSTS)])
    assert list(find(tmp_path).learners) == ["zo\u00eb"]


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EksnetError, match="cannot be read"):
        find(tmp_path / "gone")


def test_the_copies_of_a_notebook_are_read_wherever_they_are(tmp_path: Path) -> None:
    packed = archive(
        tmp_path / "ada.zip",
        {"submission.json": b"{}", "notebooks/05_lab_hosts-2.ipynb": b"two",
         "notebooks/05_lab_hosts.ipynb": b"one", "notebooks/05_lab_hosts-b.ipynb": b"no copy",
         "notebooks/06_lab_cname.ipynb": b"another", "evidence/a.jsonl": GOOD},
    )  # fmt: skip
    plain = tmp_path / "ps1" / "05_lab_hosts.ipynb"
    plain.parent.mkdir()
    plain.write_bytes(b"three")
    files = [packed, plain, tmp_path / "gone.ipynb"]
    assert notebooks(files, "05_lab_hosts") == ([b"one", b"three", b"two"], [])
    assert notebooks(files, "06_lab_cname") == ([b"another"], [])
    assert notebooks(files, "07_lab_install_controller") == ([], [])
    # By itself a notebook is no evidence, and no fault.
    assert read("ada", [plain]).faults == ()


def test_a_notebook_is_read_within_bounds(tmp_path: Path) -> None:
    huge = tmp_path / "05_lab_hosts.ipynb"
    huge.write_bytes(b"x" * 5_000_001)
    bomb = archive(
        tmp_path / "eve.zip",
        {"submission.json": b"{}", "notebooks/05_lab_hosts.ipynb": b" " * 5_000_001},
    )
    many = archive(
        tmp_path / "mallory.zip",
        {"submission.json": b"{}",
         **{f"notebooks/05_lab_hosts-{n}.ipynb": b"x" for n in range(1, 9)}},
    )  # fmt: skip
    link = tmp_path / "05_lab_hosts-2.ipynb"
    link.symlink_to("/etc/passwd")
    for path, said in ((huge, "more than"), (bomb, "unpacked"), (link, "cannot be read")):
        found, (fault,) = notebooks([path], "05_lab_hosts")
        assert found == [] and said in fault
    found, (fault,) = notebooks([many], "05_lab_hosts")
    assert len(found) == 3 and "the first 3" in fault
