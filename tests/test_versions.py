"""What is written about versions: code reads them from one file, words agree with it."""

import ast
import json
import re
from pathlib import Path

import pytest

from eksnet import versions

ROOT = Path(__file__).parents[1]
PINNED = {
    **dict.fromkeys(
        ("Kubernetes", "kube-proxy", "kubelet", "kube-apiserver", "kubectl", "API server"),
        versions.KUBERNETES,
    ),
    "CoreDNS": versions.COREDNS,
    "etcd": versions.ETCD,
    "Helm": versions.HELM,
    "Load Balancer Controller": versions.CONTROLLER,
}
# What is so since a release, or was before it, stays true; a release of another program has three
# numbers, so that `CoreDNS 1.6` means all of that time.
NAMED = re.compile(
    rf"(?<!since )(?<!before )(?<!until )\b({'|'.join(PINNED)}) v?(\d+(?:\.\d+){{1,2}})(?!\.?\d)"
)
FILES = sorted(
    path
    for pattern in ("README.md", "docs/*.md", "data/*", "notebooks/*.ipynb", "eksnet/**/*")
    for path in ROOT.glob(pattern)
    if path.suffix in {".md", ".csv", ".ipynb", ".py", ".yaml", ".json"}
)
CODE = [path for path in FILES if path.suffix not in {".md", ".csv"}]


def name(path):
    return str(path.relative_to(ROOT))


def cells(path, *kinds):
    return [
        "".join(cell["source"])
        for cell in json.loads(path.read_text())["cells"]
        if cell["cell_type"] in kinds
    ]


def words(path):
    """Return a file's text; of a notebook what was written, not what came out."""
    return (
        "\n".join(cells(path, "code", "markdown")) if path.suffix == ".ipynb" else path.read_text()
    )


def code(path):
    """Return the texts that a file gives to programs: no comments, no docstrings."""
    if path.suffix != ".py" and path.suffix != ".ipynb":
        return re.sub(r"(?m)^#.*", "", path.read_text())
    text = path.read_text() if path.suffix == ".py" else "\n".join(cells(path, "code"))
    nodes = list(ast.walk(ast.parse(text)))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    found = (n.value for n in nodes if isinstance(n, ast.Constant) and id(n) not in docstrings)
    return "\n".join(one for one in found if isinstance(one, str))


def outdated(text):
    """Return the programs that a text names with a version that is not the pinned one."""
    return {
        (program, version)
        for program, version in NAMED.findall(text)
        if not f"{PINNED[program].removeprefix('v')}.".startswith(f"{version}.")
        and (version.count(".") == 2 or PINNED[program] == versions.KUBERNETES)
    }


@pytest.mark.parametrize("path", FILES, ids=name)
def test_words_name_the_versions_that_are_pinned(path):
    assert outdated(words(path)) == set()


def test_an_outdated_version_is_found():
    assert outdated("kube-proxy 1.2 and CoreDNS 1.2.3; since Kubernetes 1.2") == {
        ("kube-proxy", "1.2"),
        ("CoreDNS", "1.2.3"),
    }
    assert outdated(f"CoreDNS {versions.COREDNS}, Kubernetes 1.{versions.MINOR}") == set()
    assert outdated("CoreDNS 1.6 and later") == set()


@pytest.mark.parametrize("path", CODE, ids=name)
def test_no_code_repeats_a_pinned_version(path):
    text = code(path)
    assert [one for one in set(PINNED.values()) if one.removeprefix("v") in text] == []


@pytest.mark.parametrize("path", CODE, ids=name)
def test_an_image_of_the_engine_has_the_engines_version(path):
    # A tag in a text has been written twice, whichever it is.
    known = r"coredns|kube-proxy|aws-load-balancer-controller"
    assert re.findall(rf"(?:{known}):v?\d\S*", code(path)) == []
