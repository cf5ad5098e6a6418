from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from made import attempt, lines
from typer.testing import CliRunner

from eksnet import cli
from eksnet.checkpoints import definitions, evidence
from eksnet.course.catalogue import course
from eksnet.errors import EksnetError
from eksnet.grading import packing, reading
from eksnet.grading.packing import shortened

HOSTS = definitions.of_notebook("05")[0]
KEY = "AKIA" + "ABCDEFGHIJKLMNOP"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("arn:aws:iam::111122223333:role/Alice", "arn:aws:iam::…3333:role/…"),
        ("'arn:aws:eks:ap-northeast-2:111122223333:cluster/shop', x",
         "'arn:aws:eks:ap-northeast-2:…3333:cluster/…', x"),
        ("arn:aws:elasticloadbalancing:r:111122223333:loadbalancer/app/a/1 b",
         "arn:aws:elasticloadbalancing:r:…3333:loadbalancer/… b"),
        ("arn:aws-cn:s3:::bucket", "arn:aws-cn:s3:::bucket"),
        ("account 111122223333.", "account …3333."),
        ("111122223333.dkr.ecr.amazonaws.com", "…3333.dkr.ecr.amazonaws.com"),
        ("the account 1111-2222-3333", "the account …3333"),
        ("10.100.0.10 and 1234567890123", "10.100.0.10 and 1234567890123"),
        (f"key {KEY}", "key (withheld)"),
        (PEM, "(withheld)"),
    ],
)  # fmt: skip
def test_account_ids_and_arns_are_shortened_and_credentials_left_out(given: str, said: str) -> None:
    assert shortened(given) == said


def notebook(path: Path, *sources: Any) -> None:
    cells = [
        {"cell_type": "code", "id": f"c{n}", "source": source, "execution_count": 3,
         "metadata": {"tags": ["predict"], "secret": KEY},
         "outputs": [{"output_type": "stream", "name": "stdout", "text": [f"out {KEY}"]}]}
        for n, source in enumerate(sources)
    ]  # fmt: skip
    about = {"owner": KEY}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5})
    )


def test_the_courses_own_cells_are_packed_as_they_are(tmp_path: Path) -> None:
    for path in course():
        given = json.loads(path.read_bytes())["cells"]
        (tmp_path / path.name).write_bytes(path.read_bytes())
        (packed,) = (
            one for one in packing.submission(tmp_path) if one.name == f"notebooks/{path.name}"
        )
        kept = [cell["source"] for cell in json.loads(packed.content)["cells"]]
        assert kept == ["".join(cell["source"]) for cell in given]


def evidence_file(*records: dict[str, Any], name: str = "ca-ada.jsonl") -> None:
    evidence.directory().mkdir(parents=True, exist_ok=True)
    (evidence.directory() / name).write_bytes(lines(records))


def test_the_command_lists_what_it_packs_and_packs_no_secret(tmp_path: Path) -> None:
    course = tmp_path / "course"
    halves = PEM.splitlines(keepends=True)
    notebook(course / "05_lab_hosts.ipynb", "prediction = 3", halves, f"key = '{KEY}'",
             "role = 'arn:aws:iam::111122223333:role/Alice'")  # fmt: skip
    notebook(course / "05_lab_hosts-2.ipynb", "second")
    notebook(course / "diary.ipynb", "my own")
    told = attempt(HOSTS, observed=f"{KEY} in 111122223333", cluster="ca:111122223333")
    evidence_file(told | {"answer": [["Bearer", "abcdefghijklmnop"], ["111122223333", "A"]],
                          "of my own": KEY})  # fmt: skip
    file = tmp_path / "ada.zip"
    done = CliRunner().invoke(cli.app, ["submit", str(file), "--course", str(course)])
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(file) as packed:
        names = packed.namelist()
        content = {name: packed.read(name) for name in names}
    assert names == [
        "submission.json", "evidence/ca-ada.jsonl", "progress.json",
        "notebooks/05_lab_hosts-2.ipynb", "notebooks/05_lab_hosts.ipynb",
    ]  # fmt: skip
    assert all(name in done.output for name in names)
    everything = b"".join(content.values())
    for secret in (KEY, "MIIE", "abcdefghijklmnop", "Alice", "out "):
        assert secret.encode() not in everything, secret
    (record,) = map(json.loads, content["evidence/ca-ada.jsonl"].splitlines())
    # What evidence belongs to stays, whatever it looks like.
    assert record["cluster"] == "ca:111122223333"
    assert record["criteria"][0]["observed"] == "(withheld) in …3333"
    assert record["answer"][1] == ["…3333", "A"]
    packed_notebook = json.loads(content["notebooks/05_lab_hosts.ipynb"])
    assert [cell["source"] for cell in packed_notebook["cells"]][:2] == [
        "prediction = 3", "(withheld)",
    ]  # fmt: skip
    progress = json.loads(content["progress.json"])
    assert progress["ca:111122223333"][HOSTS.id] == HOSTS.points
    found = reading.read("ada", [file])
    assert [one.checkpoint for one in found.attempts] == [HOSTS.id]
    assert (found.faults, found.unreadable) == ((), 0)


def test_a_packed_notebook_of_the_course_is_a_whole_notebook(tmp_path: Path) -> None:
    import nbformat

    from eksnet.course.catalogue import course

    for path in course():
        found = packing._notebook(path)
        read = nbformat.reads(found.decode(), as_version=4)
        nbformat.validate(read)
        assert len(read.cells) == len(json.loads(path.read_text())["cells"])


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    evidence_file(attempt(HOSTS))
    for name in ("a.zip", "b.zip"):
        packing.write(tmp_path / name, packing.submission(tmp_path))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert os.stat(tmp_path / "a.zip").st_mode & 0o077 == 0


def test_nothing_to_hand_in_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli.app, ["submit", str(tmp_path / "a.zip"), "--course", str(tmp_path)]
    )
    assert done.exit_code == 2
    assert "nothing to hand in" in done.output
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("kind", ["text", "zip", "link", "folder", "no zip", "no folder"])
def test_another_file_is_never_written_over(kind: str, tmp_path: Path) -> None:
    evidence_file(attempt(HOSTS))
    file, other = tmp_path / "ada.zip", tmp_path / "other.zip"
    if kind == "text":
        file.write_text("mine")
    elif kind == "zip":
        with zipfile.ZipFile(file, "w") as mine:
            mine.writestr("photo.png", b"mine")
    elif kind == "link":
        packing.write(other, packing.submission(tmp_path))
        file.symlink_to(other)
    elif kind == "folder":
        file.mkdir()
    file = {"no zip": tmp_path / "ada.txt", "no folder": tmp_path / "gone" / "a.zip"}.get(
        kind, file
    )
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(EksnetError):
        packing.write(file, packing.submission(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_earlier_submission_is_replaced(tmp_path: Path) -> None:
    evidence_file(attempt(HOSTS))
    file = tmp_path / "ada.zip"
    packing.write(file, packing.submission(tmp_path))
    evidence_file(attempt(HOSTS), attempt(HOSTS, at="2026-11-30T11:00:00+00:00"))
    packing.write(file, packing.submission(tmp_path))
    assert len(reading.read("ada", [file]).attempts) == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"cells": [1]}', '{"cells": 1}', "[" * 100_000])
def test_a_broken_notebook_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "05_lab_hosts.ipynb").write_text(text)
    with pytest.raises(EksnetError, match=r"05_lab_hosts\.ipynb is not a notebook"):
        packing.submission(tmp_path)
