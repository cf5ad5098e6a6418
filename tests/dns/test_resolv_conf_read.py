"""How the real glibc reads a resolv.conf: which names it then asks, beside those of the model."""

import pytest
from real_resolvers import Case

from eksnet.dns import ResolvConf, candidates

# Patient: the server answers everything, on a busy computer perhaps late.
SERVER = "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n"
# By what glibc makes of each, so that a reading that has changed is seen by its name.
FILES = (
    "search d1 d2\n",
    "search\td1\t d2 \n",
    "search d1 d2",
    "search d1 # d2\n",
    "search d1 ; d2\n",
    "search d1#x d2\n",
    "search # d2\n",
    "search d1\n#search d2\n;search d3\n",
    "search d1\n # search d2\n",
    " search d1\n",
    "\tsearch d1\n",
    "search d1\n search d2\n",
    "SEARCH d1\n",
    "searches d1\n",
    "search d1\nsearch\n",
    "search d1\nsearch \n",
    "search d1\ndomain\n",
    "search d1\ndomain \t\n",
    "search d1\ndomain d2 d3\n",
    "domain d1\nsearch d2 d3\n",
    "domain # d2\n",
    "search d1. d2\n",
    "search d1,d2\n",
    "search d1\noptions ndots:2\n",
    "search d1\n options ndots:3\n",
    "search d1\noptions ndots:3\noptions rotate\n",
    "search d1\noptions ndots:3 ndots:0\n",
    "search d1\noptions # ndots:3\n",
    "search d1\noptions ndots:3x\n",
    "search d1\noptions ndots: 3\n",
    "search d1\noptions ndots=3\n",
    "search d1\noptions ndots:+3\n",
    "search d1\noptions ndots:-1\n",
    "search d1\noptions ndots:-13\n",
    "search d1\noptions ndots:x\n",
    "search d1\noptions ndots:3 ndots:\n",
    "search d1\noptions ndots:99\n",
)
NAMES = ("n", "n.a", "n.a.b.c", "n.a.b.c.d.e")
# A server that is read is one that is asked; glibc asks 127.0.0.1 when none is.
OTHER = "127.0.0.2"
SERVERS = (
    f"nameserver {OTHER}\n",
    f"nameserver\t {OTHER} # home\n",
    f" nameserver {OTHER}\n",
    f"# nameserver {OTHER}\n",
    f"nameservers {OTHER}\n",
    "nameserver\n",
)


@pytest.fixture(scope="module")
def seen(networks):
    """The names that glibc asks, by file and name, and the files whose server it asked."""
    asked = [(file, name) for file in FILES for name in NAMES] + [(file, "n") for file in SERVERS]
    cases = [
        Case("glibc", name, ResolvConf(), {}, SERVER * (file in FILES) + file)
        for file, name in asked
    ]
    told = zip(asked, networks.look_up(cases), strict=True)
    return {one: tuple(dict.fromkeys(name for _, name, _ in found.queries)) for one, found in told}


@pytest.mark.parametrize("file", FILES)
def test_the_names_are_those_of_the_file_as_it_is_read(seen, file):
    conf = ResolvConf.parse(SERVER + file)
    for name in NAMES:
        assert seen[file, name] == candidates(name, conf)


@pytest.mark.parametrize("file", SERVERS)
def test_the_server_is_that_of_the_file_as_it_is_read(seen, file):
    # The scripted server is the one at 127.0.0.1.
    assert (ResolvConf.parse(file).nameservers == (OTHER,)) == (seen[file, "n"] == ())
