"""What a plan is asked of: files, folders, texts; and what becomes of the program's answer."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from eksnet import cli
from eksnet.aws import Account
from eksnet.cluster import access
from eksnet.cluster.access import Access
from eksnet.errors import EksnetError
from eksnet.loadbalancer import planning
from eksnet.sandbox import build

ANSWERS = Path(__file__).parent / "answers"
ACCOUNT = Account("http://127.0.0.1:1", "ap-northeast-2", "AKIA", "secret", "lab")
ACCESS = Access("https://127.0.0.1:2", "PEM", token="t", namespace="shop", account=ACCOUNT)
INGRESS = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: %s}\n"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of the engine's, which keeps its request and gives a known answer."""
    script = tmp_path / "bin" / "plan"
    script.parent.mkdir()
    script.write_text(
        f"#!/bin/sh\ncat > {tmp_path}/request.json\ncat {ANSWERS}/two_ingresses.json\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(build, "program", lambda name: {"plan": script}[name])
    return script


def asked(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "request.json").read_text())


def names(tmp_path: Path) -> list[str]:
    return [one["metadata"]["name"] for one in asked(tmp_path)["manifests"]]


@pytest.mark.parametrize("form", ["text", "file", "path", "folder", "several", "list"])
def test_manifests_come_in_many_forms(form: str, tmp_path: Path, program: Path) -> None:
    folder = tmp_path / "shop"
    (folder / "below").mkdir(parents=True)
    for name in ("b.yaml", "a.yml", "c.json", "notes.txt", "below/d.yaml"):
        text = INGRESS % Path(name).stem
        (folder / name).write_text(text)
    (folder / "c.json").write_text(
        '{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "c"}}'
    )
    documents = (f"# Source: chart/web.yaml\n{INGRESS % 'a'}", "# nothing\n", INGRESS % "b")
    whole = "---\n".join(documents)
    given: dict[str, tuple[tuple[str | Path, ...], list[str]]] = {
        "text": ((whole,), ["a", "b"]),
        "file": ((str(folder / "b.yaml"),), ["b"]),
        "path": ((folder / "notes.txt",), ["notes"]),
        "folder": ((folder,), ["a", "b", "c"]),
        "several": ((folder / "b.yaml", INGRESS % "x"), ["b", "x"]),
        "list": (
            ("apiVersion: v1\nkind: List\nitems:\n- " + (INGRESS % "i").replace("\n", "\n  "),),
            ["i"],
        ),
    }
    manifests, wanted = given[form]
    planning.plan(ACCESS, *manifests)
    assert names(tmp_path) == wanted


def test_the_request_has_what_the_program_needs(tmp_path: Path, program: Path) -> None:
    plan = planning.plan(ACCESS, INGRESS % "web")
    assert asked(tmp_path) == {
        "cluster": {
            "server": "https://127.0.0.1:2", "authority": "PEM", "token": "t", "certificate": "",
            "key": "", "insecure": False,
        },
        "aws": {
            "endpoint": "http://127.0.0.1:1", "region": "ap-northeast-2", "access_key": "AKIA",
            "secret": "secret", "session": "",
        },
        "name": "lab",
        "namespace": "shop",
        "manifests": [
            {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"}}
        ],
    }  # fmt: skip
    assert plan.cluster == "lab"
    assert "secret" not in repr(ACCESS)


def test_a_context_without_an_account_is_planned_for(tmp_path: Path, program: Path) -> None:
    planning.plan(Access("https://127.0.0.1:2"), INGRESS % "web", namespace="other")
    found = asked(tmp_path)
    assert (found["aws"], found["name"], found["namespace"]) == (None, "", "other")


def test_the_access_of_a_configuration(tmp_path: Path) -> None:
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text(name)
    configuration = SimpleNamespace(
        host="https://api", ssl_ca_cert=str(tmp_path / "ca"), cert_file=str(tmp_path / "cert"),
        key_file=str(tmp_path / "key"), api_key={"BearerToken": "Bearer abc"}, verify_ssl=True,
    )  # fmt: skip
    found = Access.of(configuration, "shop", None)
    assert found == Access("https://api", "ca", "abc", "cert", "key", False, "shop", None)


BAD: dict[str, tuple[str | Path, str]] = {
    "missing": (Path("no/such.yaml"), "no/such.yaml cannot be read: No such file or directory"),
    "a byte": (Path("byte.yaml"), "byte.yaml, line 2: a byte that is not UTF-8"),
    "empty": (Path("empty.yaml"), "empty.yaml has no object"),
    "no YAML": (Path("bad.yaml"), "bad.yaml, line 2: "),
    "no kind": (Path("kindless.yaml"), "kindless.yaml, line 1: an object without kind"),
    "a folder without any": (Path("folder"), "folder has no file ending in .yaml, .yml, .json"),
    "an endless file": (Path("/dev/zero"), "/dev/zero has more than 16,777,216 bytes"),
    "text": ("x", "the manifest, line 1: an object without any field"),
    "half a pair": ("\ud800: 1\n", "the manifest is '\\ud800: 1\\n'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_planned_is_told(
    name: str, tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("byte.yaml").write_bytes(b"kind: A\nx: \xff\n")
    Path("empty.yaml").write_text("# nothing\n")
    Path("bad.yaml").write_text("kind: [\n}\n")
    Path("kindless.yaml").write_text("apiVersion: v1\nmetadata: {name: a}\n")
    given, says = BAD[name]
    with pytest.raises(EksnetError) as raised:
        planning.plan(ACCESS, given)
    assert says in str(raised.value)
    assert "  expected: " in str(raised.value)
    assert not (tmp_path / "request.json").exists()


ENDS = {
    "a word": ("echo 'the nodes cannot be listed' >&2; exit 2", "the nodes cannot be listed"),
    "no word": ("exit 7", "the engine's program plan ended with exit code 7"),
    "no JSON": ("echo nothing", "the answer of the engine's program plan cannot be read"),
    "other JSON": ("echo '{}'", "the answer of the engine's program plan cannot be read"),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_program_that_fails_is_told(name: str, program: Path) -> None:
    script, says = ENDS[name]
    program.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
    with pytest.raises(EksnetError) as raised:
        planning.plan(ACCESS, INGRESS % "web")
    assert says in str(raised.value)


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "access_read_only", lambda: ACCESS)


def test_the_command_says_what_is_refused(
    tmp_path: Path, program: Path, reached: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = CliRunner().invoke(cli.app, ["plan", "-"], input=INGRESS % "web")
    assert done.exit_code == 1, done.output
    assert done.stdout.startswith("Plan for lab: 1 refused; 9 added\n")
    assert names(tmp_path) == ["web"]
    done = CliRunner().invoke(cli.app, ["plan", "-n", "team", "--json", "-"], input=INGRESS % "web")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["refused"][0]["name"] == "app/bad"
    assert asked(tmp_path)["namespace"] == "team"


def test_the_command_is_fine_where_nothing_is_refused(program: Path, reached: None) -> None:
    answer = json.loads((ANSWERS / "two_ingresses.json").read_text()) | {"refused": []}
    program.write_text(f"#!/bin/sh\ncat > /dev/null\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    done = CliRunner().invoke(cli.app, ["plan", "-"], input=INGRESS % "web")
    assert done.exit_code == 0, done.output


def test_the_command_says_what_it_could_not_do(reached: None, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["plan", str(tmp_path / "none.yaml")])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "none.yaml cannot be read" in done.stderr


def test_a_broken_standard_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.RawIOBase):
        def read(self, _: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Broken()))
    with pytest.raises(EksnetError, match="the standard input cannot be read: Input/output error"):
        planning.files("-")
