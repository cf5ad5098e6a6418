"""A Corefile as CoreDNS reads it; the real CoreDNS says which hash is right."""

import os
import select
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eksnet.coredns.configuration import (
    CorefileError,
    configuration_hash,
    logged_configurations,
    read_corefile,
    refusal,
    running,
)
from eksnet.errors import EksnetError
from eksnet.sandbox import build

PLAIN = ".:0 {\n    bind 127.0.0.1\n    reload\n}\n"
# Each with an oddity of the lexer or of Go's JSON.
COREFILES = {
    "plain": PLAIN,
    "comments": "# first\n.:0 { # then\n  bind 127.0.0.1 # and\n\n\n  reload 30s 15s\n}\n# end",
    "hash inside a word": ".:0 {\n  bind 127.0.0.1\n  reload\n  log a.test#not b.test\n}\n",
    "hosts": PLAIN.replace(
        "reload", "hosts {\n  10.43.0.1 myapp.local www\n  fallthrough\n  }\n  reload"
    ),
    "two blocks": PLAIN + "example.org:0, example.com:0 {\n bind 127.0.0.1\n whoami\n}\n",
    "a plugin twice": PLAIN.replace(
        "reload", "log example.org\n  log example.com {\n class all\n }\n  reload"
    ),
    "quoted": PLAIN.replace(
        "reload", 'template IN A a.test {\n answer "{{ .Name }} <5> & \\"x\\" \\d é"\n}\n reload'
    ),
    "a quoted line break": PLAIN.replace(
        "reload", 'template IN A a.test {\n match "a\n*" b\n rcode NXDOMAIN\n}\n reload'
    ),
    "a line break between arguments": PLAIN.replace("reload", 'log "a\nb" c.test\n reload'),
    "a control character": PLAIN.replace("reload", "log a\x1fb.test\n reload"),
    "carriage returns": PLAIN.replace("\n", "\r\n"),
    "an open server block after a plugin's": PLAIN.replace(
        "reload\n}", "reload\n hosts {\n  10.43.0.1 myapp.local\n}"
    ),
    "no braces": ".:0\nbind 127.0.0.1\nreload",
}


@pytest.fixture(scope="module")
def coredns():
    """The CoreDNS that the sandbox runs."""
    program = next(one for one in build.status() if one.name == "coredns")
    assert program.state == "built", "`eksnet engine build` builds it"
    return program.path


def log_of(coredns, corefile, until):
    """Run CoreDNS with a Corefile until its log holds a text; return the log."""
    with subprocess.Popen(
        [coredns, "-conf", corefile],
        cwd=corefile.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        log, deadline = b"", time.monotonic() + 30
        try:
            while until not in log and (left := deadline - time.monotonic()) > 0:
                if not select.select([process.stdout], [], [], left)[0]:
                    break
                if not (read := os.read(process.stdout.fileno(), 65536)):
                    break
                log += read
        finally:
            process.kill()
    return log.decode()


@pytest.mark.parametrize("name", COREFILES)
def test_the_hash_is_the_one_that_coredns_logs(name, coredns, tmp_path):
    corefile = tmp_path / "Corefile"
    corefile.write_bytes(COREFILES[name].encode())
    # The line is long: wait for the one after it.
    log = log_of(coredns, corefile, until=b"CoreDNS-")
    assert logged_configurations(log) == (configuration_hash(COREFILES[name]),), log


def test_a_refusal_is_read_from_the_log_of_coredns(coredns, tmp_path):
    corefile = tmp_path / "Corefile"
    corefile.write_text(".:0 {\n  hosts {\n    fallthrough\n    10.43.0.1 myapp.local\n  }\n}\n")
    log = log_of(coredns, corefile, until=b"unknown property '10.43.0.1'\n")
    assert refusal(log) == "line 4: unknown property '10.43.0.1'"


def test_a_refusal_from_before_the_last_configuration_is_over():
    log = "x:4 - Error during parsing: old\nRunning configuration SHA512 = " + "a" * 128
    assert refusal(log) == ""
    assert refusal(log + "\nx:5 - Error during parsing: new\n") == "line 5: new"
    assert logged_configurations(log) == ("a" * 128,)


LAME = "plugin/health: unable to parse lameduck duration value: 'five' : time: bad"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        # As it is logged at a start, and at a reload.
        (f"maxprocs: 2\n{LAME}\n", LAME),
        (
            f"[ERROR] Restart failed: {LAME}\n[ERROR] plugin/reload: Corefile changed but reload "
            f"failed: starting with listener file descriptors: {LAME}\n",
            LAME,
        ),
        ("[ERROR] plugin/errors: 2 a. A: i/o timeout\n[INFO] plugin/reload: x\n", ""),
    ],
)
def test_a_plugin_that_refuses_its_own_lines_is_told(log, reason):
    assert refusal(log) == reason


def test_the_refusal_of_a_plugin_is_read_from_the_log_of_coredns(coredns, tmp_path):
    corefile = tmp_path / "Corefile"
    corefile.write_text(".:0 {\n  health {\n    lameduck five\n  }\n}\n")
    log = log_of(coredns, corefile, until=b"lameduck duration value: 'five'")
    assert refusal(log).startswith("plugin/health: unable to parse lameduck duration value")


UNKNOWN = PLAIN.replace("reload", "reload\n    logg")
OLD = f"Running configuration SHA512 = {configuration_hash(PLAIN)}\n"
REFUSES = "[ERROR] Restart failed: Corefile:4 - Error during parsing: Unknown directive 'logg'\n"


def test_coredns_refuses_every_text_with_a_plugin_that_it_does_not_know(coredns, tmp_path):
    for text in (UNKNOWN, UNKNOWN.replace("    bind", "\n    logg\n    bind")):
        (tmp_path / "Corefile").write_text(text)
        log = log_of(coredns, tmp_path / "Corefile", until=b"Unknown directive 'logg'\n")
        found = running(UNKNOWN, [OLD + log])
        assert (found.current, found.final) == (0, True)


@pytest.mark.parametrize(
    ("corefile", "logs", "final"),
    [
        (UNKNOWN, [OLD + REFUSES, OLD + REFUSES], True),
        # One has not tried yet, or has not started.
        (UNKNOWN, [OLD + REFUSES, OLD], False),
        (UNKNOWN, [OLD + REFUSES, ""], False),
        # The refusal is of a text that was there before.
        (UNKNOWN.replace("logg", "log"), [OLD.replace("=", "= f")[:-2] + REFUSES] * 2, False),
        # The same line may be right now, with another one beside it.
        (UNKNOWN, [OLD + REFUSES.replace("Unknown directive", "unknown property")] * 2, False),
        (PLAIN, [OLD, OLD], False),
        (PLAIN, [], False),
    ],
)
def test_waiting_ends_where_each_pod_has_refused_this_corefile_for_sure(corefile, logs, final):
    assert running(corefile, logs).final is final


@pytest.mark.parametrize("change", [lambda text: "\n" + text, lambda text: text + "a { whoami\n}"])
def test_another_text_has_another_hash(change):
    assert configuration_hash(change(PLAIN)) != configuration_hash(PLAIN)


def test_the_lines_of_a_plugin_are_those_that_are_written():
    first, second = read_corefile(COREFILES["hosts"] + "b:53 c:53 {\n hosts { 10.0.0.1 b }\n}")
    assert first.keys == (".:0",)
    assert first.lines("hosts") == (
        ("hosts",), ("10.43.0.1", "myapp.local", "www"), ("fallthrough",),
    )  # fmt: skip
    assert second.keys == ("b:53", "c:53")
    assert second.lines("hosts") == (("hosts",), ("10.0.0.1", "b"))
    assert second.lines("cache") == ()


@pytest.mark.parametrize(
    ("corefile", "seen"),
    [
        (".:53 {\n  reload\n", "the server block .:53 is not closed"),
        (".:53 {\n  hosts {\n  reload\n", "the block of hosts in line 2 is not closed"),
        (
            ".:53 {\n  hosts }\n}\n",
            "line 2 of the Corefile has a closing brace without an opening one",
        ),
    ],
)
def test_what_is_not_whole_is_told(corefile, seen):
    with pytest.raises(CorefileError) as raised:
        read_corefile(corefile)
    assert raised.value.seen == seen


@pytest.mark.parametrize(
    "corefile",
    [
        "import others\n",
        ".:53 {\n  import others\n}\n",
        ".:53 {\n  hosts {\n    import others\n  }\n}\n",
        "(snippet) {\n  log\n}\n",
        ".:{$PORT} {\n  log\n}\n",
        ".:53 {\n  forward . {$UPSTREAM}\n}\n",
    ],
)
def test_text_from_elsewhere_is_no_fault_of_the_corefile(corefile):
    with pytest.raises(EksnetError, match=r"imports|snippet|variable") as raised:
        configuration_hash(corefile)
    assert not isinstance(raised.value, CorefileError)


@given(st.text(alphabet='.:53 {}\n\t"\\#ab\r,$%()import<é'))
def test_any_text_is_read_or_refused(text):
    try:
        blocks = read_corefile(text)
    except EksnetError as error:
        assert error.seen
    else:
        assert len(configuration_hash(text)) == 128
        assert all(
            words[0].text == name for block in blocks for name, words in block.plugins.items()
        )
