"""`eksnet env`: what a shell has afterwards, and that it has what it had before after the undo."""

import os
import subprocess

import pytest

from eksnet.errors import EksnetError
from eksnet.sandbox import environment, locks, paths
from eksnet.sandbox.aws import keys

LEARNERS = {
    "PATH": os.environ["PATH"],
    "KUBECONFIG": "/home/me/it's mine",
    "AWS_PROFILE": "company",
    "AWS_SESSION_TOKEN": "token with 'quotes' and $HOME",
    "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_ENDPOINT_URL_EKS": "http://192.0.2.1",
    "HTTP_PROXY": "http://192.0.2.1:3128",
    "no_proxy": "example.com",
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A sandbox that counts as up."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "it's state"))
    found = paths.paths("shell")
    keys.ensure(found.aws_keys)
    for name, port in (("aws", "20123"), ("api", "20124")):
        paths.write_private(found.port(name), port)
    monkeypatch.setattr(locks, "is_alive", lambda _: True)
    return found


def evaluated(lines, variables, quoted=True):
    """Return the variables of a shell that evaluates lines."""
    text = 'eval "$LINES"' if quoted else "eval $LINES"
    done = subprocess.run(
        ["sh", "-c", f"{text}; unset LINES; env -0"],
        env={**variables, "LINES": lines}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = dict(line.partition("=")[::2] for line in done.stdout.split("\0") if line)
    return {
        name: value for name, value in said.items() if name not in ("PWD", "_", "SHLVL", "OLDPWD")
    }


def entered(own, variables, **options):
    wanted = environment.variables(variables, "shell")
    return evaluated(environment.lines(wanted, variables), variables, **options)


@pytest.mark.parametrize("quoted", [True, False], ids=["quoted", "without quotes"])
def test_a_shell_uses_the_sandbox_and_nothing_else(own, quoted):
    # Without quotes a shell splits lines and leaves quotes alone: values have no space then.
    variables = LEARNERS if quoted else {"PATH": LEARNERS["PATH"], "AWS_PROFILE": "company"}
    shell = entered(own, variables, quoted=quoted)
    made = keys.read(own.aws_keys)
    assert shell["AWS_ENDPOINT_URL"] == "http://127.0.0.1:20123"
    assert (shell["AWS_REGION"], shell["AWS_DEFAULT_REGION"]) == ("ap-northeast-2",) * 2
    assert (shell["AWS_ACCESS_KEY_ID"], shell["AWS_SECRET_ACCESS_KEY"]) == (
        made.access_key, made.secret,
    )  # fmt: skip
    assert shell["KUBECONFIG"] == f"{own.own_kubeconfig}:{own.kubeconfig}"
    gone = {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_EKS"}
    assert gone.isdisjoint(shell)
    if quoted:
        assert (shell["no_proxy"], shell["NO_PROXY"]) == ("example.com,127.0.0.1", "127.0.0.1")


def test_the_undo_brings_everything_back(own):
    shell = entered(own, LEARNERS)
    assert evaluated(environment.undo_lines(shell), shell) == LEARNERS


def test_twice_is_as_once(own):
    once = entered(own, LEARNERS)
    twice = entered(own, once)
    assert evaluated(environment.undo_lines(twice), twice) == LEARNERS
    assert {k: v for k, v in twice.items() if k != environment.UNDO} == {
        k: v for k, v in once.items() if k != environment.UNDO
    }


def test_there_is_no_undo_without_it(own):
    with pytest.raises(EksnetError, match="no variables of the sandbox"):
        environment.undo_lines(LEARNERS)


def test_a_sandbox_that_is_down_gives_no_lines(own, monkeypatch):
    monkeypatch.setattr(locks, "is_alive", lambda _: False)
    with pytest.raises(EksnetError, match="the sandbox shell is down") as refused:
        environment.variables(LEARNERS, "shell")
    assert refused.value.next_step == '`eksnet up`, then eval "$(eksnet env)"'


def test_how_to_get_the_aws_cli_is_said_where_it_is_missing(tmp_path):
    assert environment.aws_cli_remedy({"PATH": str(tmp_path)}).endswith(
        "uv tool install awscli` installs it for your user."
    )
    (tmp_path / "aws").write_text("#!/bin/sh\n")
    (tmp_path / "aws").chmod(0o755)
    assert environment.aws_cli_remedy({"PATH": str(tmp_path)}) == ""


def test_a_terminal_of_the_lab_has_them_and_opens_without_a_sandbox_too(own, tmp_path):
    shell = tmp_path / "shell"
    shell.write_text("#!/bin/sh\necho endpoint $AWS_ENDPOINT_URL\n")
    shell.chmod(0o755)
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ntest "$*" = "-m eksnet.cli env" && echo "$SAID"\n')
    python.chmod(0o755)
    from eksnet.course.lab import _TERMINAL

    for said, seen in (("export AWS_ENDPOINT_URL=x;", ["endpoint", "x"]), ("", ["endpoint"])):
        done = subprocess.run(
            ["sh", _TERMINAL, python, shell], env={"PATH": os.environ["PATH"], "SAID": said},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.split() == seen
