import pytest
from hypothesis import given
from hypothesis import strategies as st

from eksnet.dns import ResolvConf, pod_resolv_conf

LABEL = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ResolvConf()),
        ("nameserver 10.32.0.10\n", ResolvConf(("10.32.0.10",))),
        ("search a b\nsearch c # d\n", ResolvConf(search=("c",))),
        ("search a\ndomain b\n", ResolvConf(search=("b",))),
        ("options ndots:5 timeout:1\n", ResolvConf(ndots=5, options=("ndots:5", "timeout:1"))),
        ("options ndots:99\n", ResolvConf(ndots=15, options=("ndots:99",))),
        ("options ndots:x\n", ResolvConf(options=("ndots:x",))),
        ("# nameserver 1.1.1.1\n; search x\nsortlist 1\n", ResolvConf()),
        ("".join(f"nameserver 10.0.0.{n}\n" for n in range(5)),
         ResolvConf(("10.0.0.0", "10.0.0.1", "10.0.0.2"))),
    ],
)  # fmt: skip
def test_parse(text, expected):
    assert ResolvConf.parse(text) == expected


@given(st.lists(LABEL, max_size=6), st.integers(0, 15))
def test_what_is_rendered_is_read_back(search, ndots):
    conf = ResolvConf(("10.100.0.10",), tuple(search), ndots, (f"ndots:{ndots}",))
    assert ResolvConf.parse(conf.render()) == conf


def test_a_pod_on_eks_and_elsewhere():
    assert pod_resolv_conf("ops-ns").render() == (
        "search ops-ns.svc.cluster.local svc.cluster.local cluster.local"
        " ap-northeast-2.compute.internal\n"
        "nameserver 10.100.0.10\n"
        "options ndots:5\n"
    )
    assert pod_resolv_conf("a", region="us-east-1").search[-1] == "ec2.internal"
    assert pod_resolv_conf("a", region=None).search[-1] == "cluster.local"
