"""The images that notebooks, manifests and the package name: a real cluster has them, and ours."""

import ast
import json
import re
from pathlib import Path

import pytest

from eksnet import versions
from eksnet.sandbox import lifecycle, seed

ROOT = Path(__file__).parents[2]
KNOWN = {
    image["match"]
    for image in json.loads(Path(lifecycle.__file__).with_name("images.json").read_text())
}
# Docker Hub's official images, and registries that everybody, or every EKS cluster, can pull from.
OFFICIAL = {"busybox", "alpine", "debian", "ubuntu"}
PUBLIC = re.compile(
    r"registry\.k8s\.io/.+|public\.ecr\.aws/.+"
    r"|602401143452\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/eks/.+"
)
# A name with a tag, with a registry or of an official image; `127.0.0.1:80` is none.
REFERENCE = re.compile(
    rf"(?:(?:[a-z0-9-]+\.)+[a-z]+/[a-z0-9/-]+|{'|'.join(OFFICIAL)}):v?\d[\w.-]*|"
    r"(?<=image: )[\"']?[^\s,}\"']+"
)


def code(path):
    """Return what a file has in it besides words for people."""
    text = path.read_text()
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    if path.suffix == ".py":
        nodes = list(ast.walk(ast.parse(text)))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        found = [n for n in nodes if isinstance(n, ast.Constant) and id(n) not in docstrings]
        texts = [one.value for one in found if isinstance(one.value, str)]
        texts += [filled(one) for one in nodes if isinstance(one, ast.JoinedStr)]
        return "\n".join(texts)
    return versions.complete(text)


def filled(node):
    """Return an f-string's text, with a number for each version that the engine pins."""
    inside = (ast.unparse(one) for one in node.values)
    values = zip(node.values, inside, strict=True)
    return "".join(
        one.value if isinstance(one, ast.Constant) else "0" if "versions." in text else "{}"
        for one, text in values
    )


def references(text):
    found = (match[0].strip("\"'") for match in REFERENCE.finditer(text))
    return {one for one in found if "{" not in one}


def test_references_are_found():
    text = 'run("debian:12"); image: "busybox:1.36"}, image: example.com/x:1, {image: nginx}'
    assert references(text) == {"debian:12", "busybox:1.36", "example.com/x:1", "nginx"}
    assert references("127.0.0.1:80 host:8080 image: {image}") == set()


FILES = sorted(
    [
        *(ROOT / "notebooks").glob("*.ipynb"),
        *seed.MANIFESTS.glob("*.yaml"),
        *(path for path in (ROOT / "eksnet").rglob("*.py") if "sandbox" not in path.parts),
    ]
)


def problems(reference):
    """Tell what is wrong with a reference to an image."""
    name, _, tag = reference.partition(":")
    if not tag:
        yield f"{reference} names no version"
    if name not in OFFICIAL and not PUBLIC.fullmatch(name):
        yield f"nobody can pull {reference}"
    if name.rpartition("/")[2] not in KNOWN:
        yield f"the sandbox does not know {reference}"


@pytest.mark.parametrize(
    "reference", ["busybox", "example.com/busybox:1", "public.ecr.aws/eks/nothing:1"]
)
def test_a_wrong_reference_is_told(reference):
    assert list(problems(reference))


def test_every_image_is_public_and_known_here():
    # All files in one test: reading them takes seconds, which no other test's collection should.
    naming = {path.name: found for path in FILES if (found := references(code(path)))}
    assert {"01b_name_resolution.ipynb", "10-coredns.yaml", "resolvers.py", "installed.py"} <= set(
        naming
    )
    wrong = {
        f"{name}: {problem}"
        for name, found in naming.items()
        for reference in found
        for problem in problems(reference)
    }
    assert wrong == set()
