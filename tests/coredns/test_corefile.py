import pytest
from hypothesis import given
from hypothesis import strategies as st

from eksnet.coredns import add_plugin, plugins
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


def test_other_blocks_are_left_alone():
    corefile = "example.org:53, example.net:53 {\n  errors\n}\n" + EKS
    changed = add_plugin(corefile, HOSTS, "example.net:53")
    assert plugins(changed, "example.org:53") == ("errors", "hosts")
    assert changed.endswith(EKS)


def test_braces_in_comments_and_quotes_are_text():
    corefile = '.:53 {\n    # {\n    template ANY ANY {\n        answer "{{ .Name }} {"\n    }\n}\n'
    assert plugins(corefile) == ("template",)


@pytest.mark.parametrize(
    ("corefile", "zone", "message"),
    [
        (add_plugin(EKS, HOSTS), ".:53", "already has the plugin hosts"),
        (EKS, "example.org:53", "no server block example.org:53"),
        (EKS + "}\n", ".:53", "line 18 .* closes a brace"),
        (EKS.removesuffix("}\n"), ".:53", "1 open brace"),
    ],
)
def test_refused(corefile, zone, message):
    with pytest.raises(EksnetError, match=message):
        add_plugin(corefile, HOSTS, zone)


@given(st.text('{}#"\\ \nabc.:53', max_size=80))
def test_no_text_crashes_it(text):
    try:
        changed = add_plugin(text, HOSTS)
    except EksnetError:
        return
    assert "hosts" in plugins(changed)
