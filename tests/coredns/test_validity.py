"""What an edit refuses for ConfigMap coredns; the real CoreDNS says whether it would start."""

import subprocess

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from eksnet.coredns.configuration import CorefileError
from eksnet.coredns.validity import check_corefile, known_plugins, wrong_with
from eksnet.errors import EksnetError
from eksnet.sandbox import build
from eksnet.sandbox.seed import MANIFESTS

INSTALLED = next(
    one["data"]["Corefile"]
    for one in yaml.safe_load_all((MANIFESTS / "10-coredns.yaml").read_text())
    if one["kind"] == "ConfigMap"
)
# The same where no cluster is: on ports that nobody uses, asking nobody.
ALONE = """\
.:0 {
    bind 127.0.0.1
    errors
    health 127.0.0.1:0
    ready 127.0.0.1:0
    kubernetes cluster.local {
        endpoint http://127.0.0.1:1
    }
    reload
}
"""


def put(lines):
    return ALONE.replace("    reload\n", f"    reload\n{lines}\n")


# What CoreDNS itself refuses, and a part of what the learner is told.
REFUSED = {
    "a misspelt plugin": (put("logg"), "line 10 has an unknown plugin: 'logg'"),
    "a block without its server block": (
        "hosts {\n    10.43.0.1 myapp.local\n}\n",
        "an unknown plugin: '10.43.0.1'",
    ),
    "an entry after fallthrough": (
        put("hosts {\n fallthrough\n 10.43.0.1 myapp.local\n}"),
        "unknown property '10.43.0.1'",
    ),
    "an entry after fallthrough for a zone": (
        put("hosts {\n 10.0.0.1 a.local\n fallthrough local\n 10.43.0.1 myapp.local\n}"),
        "unknown property '10.43.0.1'",
    ),
    "hosts twice": (
        put("hosts {\n 10.0.0.1 a\n}\nhosts {\n 10.0.0.2 b\n}"),
        "line 13 repeats the plugin hosts",
    ),
    "cache twice": (put("cache 30\ncache 10"), "repeats the plugin cache"),
    "errors twice": (put("errors"), "repeats the plugin errors"),
    "bind twice": (put("bind 127.0.0.1"), "repeats the plugin bind"),
    "an open brace": (ALONE.rstrip("}\n"), "is not closed"),
    "an open block": (put("hosts {\n 10.0.0.1 a").rstrip("}\n"), "is not closed"),
    "words after a brace": (
        put("hosts {\n 10.0.0.1 a\n } }"),
        "has a closing brace without an opening one",
    ),
    "the same block twice": (
        ALONE.replace(":0 {\n    bind 127.0.0.1", ":59153 {") + ".:59153 {\n whoami\n}\n",
        "two server blocks have the key dns://.:59153",
    ),
    "a word for a text": ("a {\n    None\n}\n", "an unknown plugin: 'None'"),
}
# What CoreDNS takes, and a cluster cannot live with.
REFUSED_FOR_THE_CLUSTER = {
    "empty": ("", "no server block"),
    "only a comment": ("# .:53\n", "no server block"),
    "the word None": ("None", "no server block has the plugin kubernetes"),
    "without kubernetes": (".:53 {\n ready\n health\n}\n", "has the plugin kubernetes"),
    "without ready": (INSTALLED.replace("    ready\n", ""), "has the plugin ready"),
    "without health": (
        INSTALLED.replace("    health {\n        lameduck 5s\n      }\n", ""),
        "has the plugin health",
    ),
}
TAKEN = {
    "alone": ALONE,
    "an entry": put("hosts {\n 10.43.0.1 myapp.local\n fallthrough\n}"),
    "options after fallthrough": put("hosts {\n 10.0.0.1 a\n fallthrough\n ttl 60\n no_reverse\n}"),
    "a file for hosts": put("hosts hosts {\n fallthrough\n}"),
    "plugins that may be used twice": put("log a.test\nlog b.test\nwhoami\nwhoami"),
    "two blocks of one zone, told apart": ALONE + ".:0 {\n bind 127.0.0.2\n whoami\n}\n",
    "two zones": ALONE + "a.test:0 b.test:0 {\n bind 127.0.0.1\n whoami\n}\n",
    "a plugin's name as an argument": put("log log"),
    "a plugin's name inside its own block": put("hosts {\n 10.0.0.1 hosts\n fallthrough\n}"),
    "a server block that ends with a plugin's": put("hosts {\n 10.0.0.1 a"),
    "a comment in braces": put("# hosts {"),
}  # fmt: skip


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    """Tell whether the CoreDNS that the sandbox runs starts with a Corefile."""
    program = next(one for one in build.status() if one.name == "coredns")
    assert program.state == "built", "`eksnet engine build` builds it"
    directory = tmp_path_factory.mktemp("corefile")

    def starts(corefile):
        (directory / "Corefile").write_text(corefile)
        with subprocess.Popen(
            [program.path, "-conf", "Corefile"], cwd=directory,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            # Either it says which release it is, once all has been set up, or it ends.
            said = [line for line in iter(process.stdout.readline, "") if _is_up(line, process)]
        return bool(said)

    return starts


def _is_up(line, process):
    if line.startswith("CoreDNS-1.14.3"):
        process.terminate()
        return True
    return False


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_coredns_refuses_too(starts, name):
    corefile, told = REFUSED[name]
    with pytest.raises(CorefileError) as refused:
        check_corefile(corefile)
    assert told in refused.value.seen
    assert not starts(corefile)


@pytest.mark.parametrize("name", REFUSED_FOR_THE_CLUSTER)
def test_what_a_cluster_cannot_live_with_is_refused(name):
    corefile, told = REFUSED_FOR_THE_CLUSTER[name]
    with pytest.raises(CorefileError) as refused:
        check_corefile(corefile)
    assert told in refused.value.seen


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_passed_coredns_starts_with(starts, name):
    assert wrong_with(TAKEN[name]) == ""
    assert starts(TAKEN[name])


def test_what_eks_installs_passes():
    check_corefile(INSTALLED)


@pytest.mark.parametrize(
    "text", ["import other", "(snippet) {\n log\n}\n", put("log {$NAME}"), put("import x")]
)
def test_what_cannot_be_told_from_the_text_is_said(text):
    with pytest.raises(EksnetError) as refused:
        check_corefile(text)
    assert "of the Corefile" in refused.value.seen
    assert not isinstance(refused.value, CorefileError)


@given(st.text(alphabet='{}"\\ \n\t#.:53hostscache,é\x00', max_size=60))
def test_any_text_passes_or_is_refused_in_words(text):
    try:
        check_corefile(text)
    except EksnetError as refused:
        assert refused.seen


def test_the_plugins_of_the_table_are_those_that_the_program_has():
    program = next(one for one in build.status() if one.name == "coredns")
    listed = subprocess.run([program.path, "-plugins"], capture_output=True, text=True, check=True)
    names = {line.strip().removeprefix("dns.") for line in listed.stdout.splitlines()}
    assert known_plugins() == names - {""}
