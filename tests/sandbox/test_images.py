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
NAMING = [path for path in FILES if references(code(path))]


def test_there_are_images_to_look_at():
    assert {"01b_name_resolution.ipynb", "10-coredns.yaml", "resolvers.py", "installed.py"} <= {
        p.name for p in NAMING
    }


@pytest.mark.parametrize("path", NAMING, ids=lambda path: path.name)
def test_every_image_is_public_and_known_here(path):
    for reference in references(code(path)):
        name, _, tag = reference.partition(":")
        assert tag, f"{reference} names no version"
        assert name in OFFICIAL or PUBLIC.fullmatch(name), f"nobody can pull {reference}"
        assert name.rpartition("/")[2] in KNOWN, f"the sandbox does not know {reference}"
