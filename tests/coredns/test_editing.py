import pytest
from hypothesis import given
from hypothesis import strategies as st

from eksnet import coredns
from eksnet.coredns import (
    add_plugin,
    comment_out,
    extend_plugin,
    imports,
    plugins,
    remove_plugin,
    remove_server_block,
    set_plugin,
)
from eksnet.coredns.configuration import configuration_hash
from eksnet.coredns.corefile import read_corefile
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
    assert read_corefile(corefile).blocks[0].names == ("errors", "log")


@pytest.mark.parametrize(
    ("corefile", "zone", "message"),
    [
        (add_plugin(EKS, OTHER), ".:53", "already has the plugin hosts"),
        (EKS, "example.org:53", "no server block example.org:53"),
        (EKS.removesuffix("}\n"), ".:53", r"the server block \.:53 is not closed"),
    ],
)
def test_refused(corefile, zone, message):
    with pytest.raises(EksnetError, match=message):
        add_plugin(corefile, HOSTS, zone)


@pytest.mark.parametrize("change", [add_plugin, set_plugin])
@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("hosts {\n  10.43.0.1 a\n", "the block of hosts in line 1 is not closed"),
        (
            "hosts\n  10.43.0.1 a\n}\n",
            "line 3 of the block has a closing brace",
        ),
        # Balanced, and yet it would end the server block and begin another one.
        (
            "hosts {\n}\n}\na:53 {\n",
            "line 3 of the block has a closing brace",
        ),
        ("hosts { 10.43.0.1 a }", "line 1 of the block has a brace in the middle"),
        (
            "hosts {\n  fallthrough }\n}\n",
            "line 3 of the block has a closing brace",
        ),
        ("hosts {\n  fallthrough }\n", "line 2 of the block has a brace in the middle"),
        (
            "hosts\n{\n  fallthrough\n}\n",
            "line 2 of the block has a brace in the middle",
        ),
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
    assert len(read_corefile(changed).blocks) == 1
    assert plugins(changed)[: len(plugins(EKS))] == plugins(EKS)


def test_a_server_block_is_taken_out_whole_and_the_rest_stays():
    other = "myapp.local:53 {\n    hosts {\n        10.43.0.1 myapp.local\n    }\n}\n"
    assert remove_server_block(other + EKS, "myapp.local:53") == EKS
    assert remove_server_block(EKS + other, "myapp.local:53") == EKS
    with pytest.raises(EksnetError, match=r"no server block example\.org:53"):
        remove_server_block(EKS, "example.org:53")


@pytest.mark.parametrize("zone", [".:53", "example.org:53"])
def test_what_to_do_about_a_plugin_that_is_there_runs_as_it_is_printed(zone):
    mine = HOSTS.replace("    fallthrough", "    # mine\n    10.0.0.9 mine.local\n    fallthrough")
    corefile = add_plugin(EKS.replace(".:53", zone), mine, zone)
    with pytest.raises(EksnetError) as raised:
        add_plugin(corefile, OTHER, zone)
    edits = []

    class Cluster:
        def edit_configmap(self, name, key, change, namespace):
            edits.append(change(corefile))

    command = raised.value.next_step.partition("its block: ")[2]
    exec(command, {"cluster": Cluster(), "coredns": coredns})
    # Every line of before is still there, in its order.
    assert edits == [corefile.replace("    fallthrough\n    }", "    10.43.0.1 yourapp.local\n"
                                      "        fallthrough\n    }")]  # fmt: skip


ADDED_UP = [
    ("rewrite name a.test b.test", "rewrite name c.test d.test", "rewrite name e.test f.test"),
    ("log a.test", "log b.test {\n    class error\n}", "log c.test"),
    (
        "template IN A a.test {\n    rcode NXDOMAIN\n}",
        "template IN A b.test {\n    rcode NXDOMAIN\n}",
        "template IN A c.test {\n    rcode NXDOMAIN\n}",
    ),
    ("forward a.test 127.0.0.1:1", "forward b.test 127.0.0.1:1", "forward c.test 127.0.0.1:1"),
    ("bind 127.0.0.2", "bind 127.0.0.3", "bind 127.0.0.4"),
]


@pytest.mark.parametrize("uses", ADDED_UP, ids=lambda uses: uses[0].split()[0])
def test_a_plugin_whose_uses_add_up_can_be_added_again(uses, ask_coredns):
    corefile = ".:0 {\n    bind 127.0.0.1\n    reload\n}\n"
    for use in uses:
        before, corefile = corefile, add_plugin(corefile, use, ".:0")
        assert set(before.splitlines()) <= set(corefile.splitlines())
        assert add_plugin(corefile, use, ".:0") == corefile
    assert plugins(corefile, ".:0")[-3:] == (uses[0].split()[0],) * 3
    said = ask_coredns(corefile)
    assert (said.started, said.hash) == (True, configuration_hash(corefile)), said.log


@pytest.mark.parametrize(
    ("there", "new", "told"),
    [
        ("cache 30", "cache 60", "one use of cache: CoreDNS refuses a second one"),
        ("reload", "reload 10s", "one use of reload: CoreDNS does not follow a second one"),
        ("health", "health :8081", "one use of health: CoreDNS does not follow a second one"),
    ],
)
def test_where_uses_do_not_add_up_the_step_takes_nothing_out(there, new, told):
    corefile = f".:53 {{\n    {there}\n    errors\n}}\n"
    with pytest.raises(EksnetError) as raised:
        add_plugin(corefile, new)
    assert raised.value.expected == told
    assert (
        raised.value.seen
        == f"the server block .:53 already has the plugin {there.split()[0]}, in line 2"
    )
    assert f'text.replace({there!r}, "<THE WHOLE NEW LINE>")' in raised.value.next_step


COMMON = "(common) {\n    errors\n    reload\n}\n.:53 {\n    import common\n    cache 30\n}\n"


def test_what_a_snippet_brings_is_listed_and_not_added_again():
    assert plugins(COMMON) == ("errors", "reload", "cache")
    for change in (add_plugin, set_plugin, extend_plugin):
        with pytest.raises(EksnetError, match="has the plugin reload from the snippet common"):
            change(COMMON, "reload 10s")
    with pytest.raises(EksnetError, match="which line 6 imports"):
        add_plugin(COMMON, "reload")
    with pytest.raises(EksnetError, match="from the snippet common"):
        remove_plugin(COMMON, "errors")
    assert add_plugin(COMMON, "loop") == COMMON.removesuffix("}\n") + "    loop\n}\n"


def test_files_are_named_and_stay():
    text = ".:53 {\n    import custom/*.override\n    errors\n}\nimport custom/*.server\n"
    assert imports(text) == ("custom/*.override", "custom/*.server")
    changed = add_plugin(text, HOSTS)
    assert plugins(changed) == ("errors", "hosts")
    assert remove_plugin(changed, "hosts") == text


# Each form is one that CoreDNS takes.
FORMS = {
    "a brace on a line of its own": ".:0\n{\n    bind 127.0.0.1\n    reload\n}\n",
    "keys over two lines": "a.test:0,\n.:0 {\n    bind 127.0.0.1\n    reload\n}\n",
    "keys with commas": "a.test:0, .:0 {\n    bind 127.0.0.1\n    reload\n}\n",
    "no braces": ".:0\nbind 127.0.0.1\nreload\n",
    "no braces, and no end of the line": ".:0\nbind 127.0.0.1\nreload",
    "no braces, and a closing one": ".:0\nbind 127.0.0.1\nreload\n}\n",
    "quoted words": '".:0" {\n    "bind" "127.0.0.1"\n    "reload"\n}\n',
    "a byte order mark": "\ufeff.:0 {\n    bind 127.0.0.1\n    reload\n}\n",
    "U+2028 for white space": ".:0 {\n    bind\u2028127.0.0.1\n\u2028   reload\n}\n",
    "U+2028 in a quoted word": '.:0 {\n    bind 127.0.0.1\n    reload\n log "a\u2028b"\n}\n',
    "carriage returns": ".:0 {\r\n    bind 127.0.0.1\r\n    reload\r\n}\r\n",
    "the last brace is a plugin's": ".:0 {\n    bind 127.0.0.1\n    reload\n    log {\n    }",
    "a plugin behind the brace": ".:0 { bind 127.0.0.1\n    reload\n}\n",
    "a comment at the end": ".:0 {\n    bind 127.0.0.1\n    reload # }\n} # end",
    "a quoted line break": '.:0 {\n    bind 127.0.0.1\n    reload\n    log "a\n} b" {\n    }\n}\n',
    "a snippet": "(s) {\n    reload\n}\n.:0 {\n    bind 127.0.0.1\n    import s\n}\n",
    "a scheme in the key": "dns://.:0 {\n    bind 127.0.0.1\n    reload\n}\n",
}  # fmt: skip
NEW = "hosts {\n    10.43.0.1 myapp.local\n    fallthrough\n}\n"


@pytest.mark.parametrize("form", FORMS)
def test_each_form_that_coredns_takes_can_be_edited(form, ask_coredns):
    before = FORMS[form]
    said = ask_coredns(before)
    assert (said.started, said.hash) == (True, configuration_hash(before)), said.log
    added = add_plugin(before, NEW, ".:0")
    said = ask_coredns(added)
    assert (said.started, said.hash) == (True, configuration_hash(added)), said.log
    assert plugins(added, ".:0") == (*plugins(before, ".:0"), "hosts")
    assert add_plugin(added, NEW, ".:0") == added
    more = extend_plugin(added, NEW.replace("1 myapp", "2 yourapp"), ".:0")
    assert read_corefile(more).server_block(".:0").lines("hosts") == (
        ("hosts",), ("10.43.0.1", "myapp.local"), ("10.43.0.2", "yourapp.local"), ("fallthrough",),
    )  # fmt: skip
    assert set_plugin(more, NEW, ".:0") == added
    removed = remove_plugin(added, "hosts", ".:0")
    # CoreDNS takes the brace of the last plugin for the server block's: then one more is written.
    assert removed.rstrip("}\r\n ") == before.rstrip("}\r\n ")
    commented = comment_out(added, ".:0")
    assert read_corefile(commented).blocks == ()
    assert commented.replace("# ", "") == added.replace("# ", "")


@pytest.mark.parametrize("zone", [".", "dns://.", ".:53", "dns://.:53"])
@pytest.mark.parametrize("asked", [".", ".:53", "dns://."])
def test_a_server_block_is_found_however_its_key_is_written(zone, asked):
    corefile = EKS.replace(".:53", zone)
    assert plugins(add_plugin(corefile, HOSTS, asked), asked)[-1] == "hosts"


@given(st.text('.:53{}\n "#\\\r\ufeff\u2028abims,()', max_size=60), st.sampled_from([NEW, "log a"]))
def test_whatever_was_there_is_there_after_an_edit(text, block):
    try:
        before = read_corefile(text)
        changed = add_plugin(text, block)
    except EksnetError:
        return
    after = read_corefile(changed)
    for old, new in zip(before.blocks, after.blocks, strict=True):
        assert old.keys == new.keys
        assert [one.lines for one in old.plugins] == [one.lines for one in new.plugins][
            : len(old.plugins)
        ]
