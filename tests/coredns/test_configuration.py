"""A Corefile as CoreDNS reads it; the real CoreDNS says which hash is right."""

import pytest

from eksnet import coredns
from eksnet.coredns.configuration import (
    configuration_hash,
    logged_configurations,
    refusal,
    running,
)
from eksnet.errors import EksnetError

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


@pytest.mark.parametrize("name", COREFILES)
def test_the_hash_is_the_one_that_coredns_logs(name, ask_coredns):
    log = ask_coredns(COREFILES[name]).log
    assert logged_configurations(log) == (configuration_hash(COREFILES[name]),), log


def test_a_refusal_is_read_from_the_log_of_coredns(ask_coredns):
    corefile = ".:0 {\n  hosts {\n    fallthrough\n    10.43.0.1 myapp.local\n  }\n}\n"
    assert refusal(ask_coredns(corefile).log) == "line 4: unknown property '10.43.0.1'"


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


def test_the_refusal_of_a_plugin_is_read_from_the_log_of_coredns(ask_coredns):
    log = ask_coredns(".:0 {\n  health {\n    lameduck five\n  }\n}\n").log
    assert refusal(log).startswith("plugin/health: unable to parse lameduck duration value")


UNKNOWN = PLAIN.replace("reload", "reload\n    logg")
OLD = f"Running configuration SHA512 = {configuration_hash(PLAIN)}\n"
REFUSES = "[ERROR] Restart failed: Corefile:4 - Error during parsing: Unknown directive 'logg'\n"


def test_coredns_refuses_every_text_with_a_plugin_that_it_does_not_know(ask_coredns):
    for text in (UNKNOWN, UNKNOWN.replace("    bind", "\n    logg\n    bind")):
        found = running(UNKNOWN, [OLD + ask_coredns(text).log])
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


@pytest.mark.parametrize("key", [".:53", ".", "example.org:53"])
def test_where_the_pods_do_not_tell_the_step_runs_as_it_is_printed(key):
    with pytest.raises(EksnetError, match="has no plugin reload") as raised:
        running(f"{key} {{\n    errors\n}}\n", [OLD])
    edits = []

    class Cluster:
        def edit_configmap(self, name, key_of_it, change, namespace):
            edits.append(change(f"{key} {{\n    errors\n}}\n"))

    command = raised.value.next_step.removeprefix("add it: ")
    exec(command, {"cluster": Cluster(), "coredns": coredns})
    assert edits == [f"{key} {{\n    errors\n    reload\n}}\n"]


def test_a_snippet_may_bring_reload():
    text = "(common) {\n    reload\n}\n.:53 {\n    import common\n}\n"
    log = f"Running configuration SHA512 = {configuration_hash(text)}\n"
    assert running(text, [log, OLD]).current == 1
