"""A dry run of a Corefile: the engine's real CoreDNS in namespaces of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from interrupting import hear_all
from typer.testing import CliRunner

import eksnet
from eksnet import cli
from eksnet.coredns.configuration import configuration_hash
from eksnet.coredns.corefile import read_corefile
from eksnet.coredns.instrument import instrument, server_for
from eksnet.course.dryrun import dry_run, needs_cluster
from eksnet.errors import EksnetError

ORDER = """\
.:53 {
    errors
    cache
    forward . /etc/resolv.conf 192.0.2.9:5353
    hosts {
        10.0.0.2 api.shop.example
        10.0.0.3 only.hosts.example
        fallthrough
    }
    template IN A shop.example {
        answer "{{ .Name }} 60 IN A 10.0.0.1"
    }
    rewrite name old.example api.shop.example
    rewrite name regex (.*)\\.moved\\.example {1}.shop.example
    loop
}
secret.example:53 {
    acl {
        drop
    }
    whoami
}
"""


def test_each_answer_has_the_plugin_that_gave_it():
    asked = ("api.shop.example", "only.hosts.example", "old.example", "a.moved.example",
             "www.example.com", "api.shop.example/AAAA")  # fmt: skip
    run = dry_run(ORDER, *asked)
    found = [(one.outcome, one.rdata, one.plugin) for one in run.answers]
    assert found[:4] == [
        ("NOERROR", ("10.0.0.1",), "template"),
        ("NOERROR", ("10.0.0.3",), "hosts"),
        ("NOERROR", ("10.0.0.1",), "template"),
        ("NOERROR for a.shop.example", ("10.0.0.1",), "template"),
    ]
    assert found[4][0] in ("forwarded to 10.0.0.2", "forwarded to 192.0.2.9")
    assert found[4][1:] == ((), "forward")
    assert found[5] == ("NOERROR", (), "hosts")
    assert run.sound and not run.remarks
    assert run.answers[0].path[0] == "errors"


def test_what_fails_or_is_not_answered_is_no_sound_run():
    run = dry_run(".:53 {\n hosts {\n 10.0.0.1 a.example\n }\n}\n", "a.example", "b.example")
    assert [(one.rcode, one.plugin) for one in run.answers] == [
        ("NOERROR", "hosts"), ("SERVFAIL", "hosts"),
    ]  # fmt: skip
    assert not run.sound


@pytest.mark.parametrize(
    ("corefile", "seen", "line"),
    [
        (".:53 {\n    errors\n    cahce\n}\n", "Unknown directive 'cahce'", 3),
        (".:53 {\n    errors\n", "Unexpected token", 2),
        (".:53 {\n    hosts {\n    fallthrough\n    10.0.0.1 a\n }\n}\n", "unknown property", 4),
        (".:53 {\n    forward . 127.0.0.1\n    loop\n}\n", "Loop", 0),
        ("a..b {\n whoami\n}\n", "not a valid domain name", 0),
    ],
)
def test_why_coredns_does_not_run_is_told_with_the_line(corefile, seen, line):
    run = dry_run(corefile, "a.example")
    assert (seen in run.refused, run.line, run.sound) == (True, line, False), run.refused


def test_without_a_name_the_text_runs_as_it_is():
    text = ".:53 {\n reload\n whoami\n}\n"
    assert dry_run(text).configuration == configuration_hash(text)
    assert dry_run(text, "a.example").configuration == ""


def test_variables_have_their_values():
    text = ".:53 {\n hosts {\n {$ADDRESS} a.example\n fallthrough\n }\n}\n"
    (answer,) = dry_run(text, "a.example", environment={"ADDRESS": "10.1.2.3"}).answers
    assert answer.rdata == ("10.1.2.3",)


def test_a_strangers_corefile_reaches_nothing_of_the_computer(tmp_path):
    mark = tmp_path / "mark"
    secret = tmp_path / "secret"
    secret.write_text("10.6.6.6 secret.example\n")
    text = f""".:53 {{
    on startup /bin/sh -c "touch {mark}"
    hosts {secret} {{
        fallthrough
    }}
    whoami
}}
"""
    run = dry_run(text, "secret.example")
    assert run.answers[0].plugin == "whoami"
    assert not mark.exists()


def test_without_a_cluster_it_says_what_was_not_tried():
    run = dry_run(".:53 {\n kubernetes cluster.local\n whoami\n}\n", "a.cluster.local", "b.example")
    assert run.remarks == (
        "no cluster is up: what the plugin kubernetes would answer was not tried (`eksnet up` "
        "starts one)",
    )
    assert [one.plugin for one in run.answers] == ["kubernetes", "whoami"]


@pytest.mark.sandbox
def test_kubernetes_reads_the_cluster_and_changes_nothing(cluster):
    text = ".:53 {\n kubernetes cluster.local\n forward . /etc/resolv.conf\n}\n"
    before = cluster.get("configmap/coredns", namespace="kube-system").raw
    run = dry_run(text, "kubernetes.default.svc.cluster.local", "nobody.default.svc.cluster.local",
                  cluster=cluster)  # fmt: skip
    assert [(one.rcode, one.rdata, one.plugin) for one in run.answers] == [
        ("NOERROR", ("10.100.0.1",), "kubernetes"), ("NXDOMAIN", (), "kubernetes"),
    ]  # fmt: skip
    assert cluster.get("configmap/coredns", namespace="kube-system").raw == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_it_is_interrupted(tmp_path, number):
    file = tmp_path / "Corefile"
    # Nobody answers, so that it takes a while.
    file.write_text(".:53 {\n acl {\n drop\n }\n whoami\n}\n")
    asked = ["--query", "a.example"] * 20
    with subprocess.Popen(
        [sys.executable, "-m", "eksnet", "corefile", "test", file, *asked],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        preexec_fn=hear_all,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:  # fmt: skip
        wait_for(lambda: runs_for(process.pid), True)
        process.send_signal(number)
        process.wait(30)
    wait_for(lambda: runs_for(process.pid), False)
    assert list(tmp_path.iterdir()) == [file]


def runs_for(pid: int) -> bool:
    """Tell whether a dry run of a process is there."""
    for words in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if words.read_bytes().endswith(f"\0{pid}\0".encode()):
                return True
    return False


def wait_for(holds, wanted: bool) -> None:
    deadline = time.monotonic() + 60
    while holds() != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_added_line_moves_no_other():
    tree = read_corefile(".:53 { # a\n errors\n}\nb:53 { whoami\n}\n")
    line = "trace 127.0.0.1:1"
    text = instrument(tree, "127.0.0.1:1").text
    assert text == f".:53 {{ {line} # a\n errors\n}}\nb:53 {{ {line}\n whoami\n}}\n"
    assert not instrument(read_corefile(".:53 {\n trace\n}\n"), "x").is_traced


def test_a_query_goes_to_the_server_block_of_its_name():
    text = "example:53 {\n}\ntls://elsewhere {\n}\ntest:1053 {\n bind 10.9.8.7\n whoami\n}\n"
    tree = read_corefile(text)
    assert server_for(tree, "a.example") == ("127.0.0.1", 53)
    assert server_for(tree, "elsewhere") is None
    assert server_for(tree, "a.test") == ("10.9.8.7", 1053)
    assert dry_run(text, "a.test").answers[0].plugin == "whoami"


# The command.


def command(*arguments, text=None):
    return CliRunner().invoke(cli.app, ["corefile", *arguments], input=text)


SOUND = ".:53 {\n    ready\n    whoami\n}\n"


def test_the_command_finds_mistakes_and_says_so_by_its_code(tmp_path):
    file = tmp_path / "Corefile"
    file.write_text(SOUND)
    assert (command("lint", str(file)).exit_code, command("lint", "-", text=SOUND).exit_code) == (
        0,
        0,
    )
    file.write_text(SOUND.replace("ready", "redy"))
    done = command("lint", str(file))
    assert done.exit_code == 1
    assert f"{file}:2: error: CoreDNS 1.14.3 has no plugin 'redy' [unknown-plugin]" in done.output
    found = json.loads(command("lint", str(file), "--json").output)
    assert found["refused"] and found["findings"][-1]["rule"] == "unknown-plugin"
    assert command("lint", str(file), "--release", "nonsense").exit_code == 2


def test_the_command_tries_a_corefile():
    done = command("test", "-", "--query", "a.example", "--json", text=SOUND)
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["answers"][0]["plugin"] == "whoami" and found["sound"]
    done = command("test", "-", text=SOUND.replace("ready", "redy"))
    assert (done.exit_code, "-:2: CoreDNS does not run" in done.output) == (1, True)


BAD = {
    "2 MB": (b"# " + b"x" * 2_000_000, "more than 1,048,576 bytes"),
    "binary": (b"\x7fELF\x02\x01\x00\x00", "NUL"),
    "no UTF-8": (b".:53 {\n\xff\xfe\n}\n", "line 2 has a byte that is not UTF-8"),
}


@pytest.mark.parametrize("what", ["lint", "test"])
@pytest.mark.parametrize("name", BAD)
def test_what_is_no_corefile_is_one_message(tmp_path, what, name):
    content, seen = BAD[name]
    file = tmp_path / "Corefile"
    file.write_bytes(content)
    done = command(what, str(file))
    assert (done.exit_code, seen in done.output) == (2, True), done.output[:500]
    assert "Traceback" not in done.output


@pytest.mark.parametrize("what", ["lint", "test"])
def test_a_file_that_is_not_there_or_a_folder_is_one_message(tmp_path, what):
    for path in (tmp_path / "missing", tmp_path):
        done = command(what, str(path))
        assert (done.exit_code, "cannot be read" in done.output) == (2, True), done.output


def test_carriage_returns_alone_are_one_line():
    done = command("lint", "-", text=SOUND.replace("\n", "\r"))
    assert (done.exit_code, "error" in done.output) == (1, True)


def test_a_query_that_cannot_be_asked_is_refused():
    assert command("test", "-", "--query", "a..b", text=SOUND).exit_code == 2
    with pytest.raises(EksnetError, match="record type"):
        dry_run(SOUND, "a.example/NOPE")
    assert not needs_cluster("{")
    assert eksnet.dry_run(SOUND).sound
