import pytest
from hypothesis import given
from hypothesis import strategies as st

from eksnet import coredns
from eksnet.coredns import (
    add_plugin,
    plugins,
    remove_plugin,
    remove_server_block,
    set_plugin,
)
from eksnet.coredns.configuration import read_corefile
from eksnet.errors import EksnetError

EKS = """\
.:53 {
    errors
    health {
        lameduck 5s
      }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
"""
HOSTS = """
hosts {
    10.43.0.1 myapp.local
    fallthrough
}
"""
OTHER = HOSTS.replace("myapp", "yourapp")
MORE = HOSTS.replace("myapp.local", "myapp.local www.myapp.local")


def test_adding_the_same_lines_again_changes_nothing():
    added = add_plugin(EKS, HOSTS)
    assert add_plugin(added, HOSTS) == added
    assert add_plugin(added, HOSTS.replace("    ", "\t")) == added


def test_plugins_as_written():
    assert plugins(EKS) == (
        "errors", "health", "ready", "kubernetes", "prometheus", "forward", "cache", "loop",
        "reload", "loadbalance",
    )  # fmt: skip


def test_only_the_new_lines_are_new():
    changed = add_plugin(EKS, HOSTS)
    assert changed == EKS.removesuffix("}\n") + (
        "    hosts {\n        10.43.0.1 myapp.local\n        fallthrough\n    }\n}\n"
    )
    assert plugins(changed)[-1] == "hosts"


@pytest.mark.parametrize("plugin", plugins(EKS))
def test_what_is_taken_out_is_all_that_goes(plugin):
    changed = remove_plugin(EKS, plugin)
    assert plugins(changed) == tuple(name for name in plugins(EKS) if name != plugin)
    assert set(EKS.splitlines()) >= set(changed.splitlines())


def test_taking_out_undoes_putting_in_to_the_byte():
    assert remove_plugin(add_plugin(EKS, HOSTS), "hosts") == EKS
    other = "example.org:53 {\n  errors\n}\n" + EKS
    assert (
        remove_plugin(add_plugin(other, HOSTS, "example.org:53"), "hosts", "example.org:53")
        == other
    )


def test_a_plugin_that_is_written_twice_goes_whole():
    twice = EKS.replace(
        "    loop\n", "    log a.test\n    loop\n    log b.test {\n        class error\n    }\n"
    )
    assert remove_plugin(twice, "log") == EKS


@pytest.mark.parametrize("before", [EKS, add_plugin(EKS, HOSTS), add_plugin(EKS, MORE)])
def test_the_lines_of_a_plugin_are_set_whatever_was_there(before):
    once = set_plugin(before, MORE)
    assert once == add_plugin(EKS, MORE)
    assert set_plugin(once, MORE) == once


def test_what_is_not_there_cannot_be_taken_out():
    with pytest.raises(EksnetError, match="has no plugin hosts"):
        remove_plugin(EKS, "hosts")


def test_other_blocks_are_left_alone():
    corefile = "example.org:53, example.net:53 {\n  errors\n}\n" + EKS
    changed = add_plugin(corefile, HOSTS, "example.net:53")
    assert plugins(changed, "example.org:53") == ("errors", "hosts")
    assert changed.endswith(EKS)


def test_braces_in_comments_and_quotes_are_text():
    corefile = '.:53 {\n    # {\n    template ANY ANY {\n        answer "{{ .Name }} {"\n    }\n}\n'
    assert plugins(corefile) == ("template",)


def test_a_comment_in_a_word_ends_with_it_as_in_coredns():
    corefile = ".:53 {#first\n    errors#second\n    log a#b {#c\n    }\n}\n"
    assert plugins(corefile) == ("errors", "log")
    assert list(read_corefile(corefile)[0].plugins) == ["errors", "log"]


@pytest.mark.parametrize(
    ("corefile", "zone", "message"),
    [
        (add_plugin(EKS, OTHER), ".:53", "already has the plugin hosts"),
        (EKS, "example.org:53", "no server block example.org:53"),
        (EKS + "}\n", ".:53", "line 18 .* has a closing brace"),
        (EKS.removesuffix("}\n"), ".:53", "1 open brace"),
    ],
)
def test_refused(corefile, zone, message):
    with pytest.raises(EksnetError, match=message):
        add_plugin(corefile, HOSTS, zone)


@pytest.mark.parametrize("change", [add_plugin, set_plugin])
@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("hosts {\n  10.43.0.1 a\n", "the block ends with 1 open brace"),
        (
            "hosts\n  10.43.0.1 a\n}\n",
            "line 3 of the block has a closing brace without an opening one",
        ),
        # Balanced, and yet it would end the server block and begin another one.
        (
            "hosts {\n}\n}\na:53 {\n",
            "line 3 of the block has a closing brace without an opening one",
        ),
        ("hosts { 10.43.0.1 a }", "line 1 of the block has a brace in the middle of the line"),
        (
            "hosts {\n  fallthrough }\n}\n",
            "line 2 of the block has a brace in the middle of the line",
        ),
        ("hosts {\n  fallthrough }\n", "the block ends with 1 open brace"),
        (" \n# hosts\n", "the block is empty"),
    ],
)
def test_a_block_that_is_not_whole_is_refused(change, block, message):
    corefile = EKS if change is add_plugin else add_plugin(EKS, HOSTS)
    with pytest.raises(EksnetError, match=message):
        change(corefile, block)


def test_braces_in_a_block_are_text_in_comments_and_quotes():
    block = 'template ANY ANY {\n  # {\n  answer "{{ .Name }} {"\n}\n'
    assert plugins(add_plugin(EKS, block))[-1] == "template"


@given(st.text('{}#"\\ \nabc.:53', max_size=80))
def test_no_text_crashes_it(text):
    try:
        changed = add_plugin(text, HOSTS)
    except EksnetError:
        return
    assert "hosts" in plugins(changed)


@given(st.text("{}# \nabc", max_size=60))
def test_whatever_is_put_in_stays_in_its_server_block(block):
    try:
        changed = add_plugin(EKS, block)
    except EksnetError:
        return
    assert len(read_corefile(changed)) == len(read_corefile(EKS))
    assert plugins(changed)[: len(plugins(EKS))] == plugins(EKS)


def test_a_server_block_is_taken_out_whole_and_the_rest_stays():
    other = "myapp.local:53 {\n    hosts {\n        10.43.0.1 myapp.local\n    }\n}\n"
    assert remove_server_block(other + EKS, "myapp.local:53") == EKS
    assert remove_server_block(EKS + other, "myapp.local:53") == EKS
    with pytest.raises(EksnetError, match=r"no server block example\.org:53"):
        remove_server_block(EKS, "example.org:53")


@pytest.mark.parametrize("zone", [".:53", "example.org:53"])
def test_what_to_do_about_a_plugin_that_is_there_runs_as_it_is_printed(zone):
    corefile = add_plugin(EKS.replace(".:53", zone), HOSTS, zone)
    with pytest.raises(EksnetError) as raised:
        add_plugin(corefile, MORE, zone)
    edits = []

    class Cluster:
        def edit_configmap(self, name, key, change, namespace):
            edits.append(change(corefile))

    command = raised.value.next_step.partition("new ones: ")[2]
    exec(command, {"cluster": Cluster(), "coredns": coredns})
    assert edits == [set_plugin(corefile, MORE, zone)]
