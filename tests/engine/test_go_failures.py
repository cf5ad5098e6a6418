"""What Go prints when it fails, and what the reader is told."""

from __future__ import annotations

import pytest

from eksnet.sandbox.build.compiler import failure

NOISE = ["internal/abi", "go: downloading k8s.io/api v0.34.3", "k8s.io/api/core/v1"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("go: example.org/x@v1.0.0: Get \"https://proxy\": dial tcp: lookup proxy: no such host",
         "a connection to the Go module proxy"),
        ("k8s.io/api@v0.34.3: reading https://proxy/k8s.io/api: 503 Service Unavailable",
         "a connection to the Go module proxy"),
        ("go: k8s.io/api@v0.34.3: module lookup disabled by GOPROXY=off",
         "a connection to the Go module proxy"),
        ("k8s.io/api@v0.34.3: Get \"https://proxy\": unexpected EOF",
         "a connection to the Go module proxy"),
        ("/tmp/go-build1/b001/_pkg_.a: write: no space left on device",
         "enough free space for Go's caches and the programs"),
        ("k8s.io/api/core/v1: compile: signal: killed", "about 3 GB of free memory"),
        ("verifying k8s.io/api@v0.34.3: checksum mismatch", "sources with the checksums in go.sum"),
        ("cmd/kube/main.go:10:2: syntax error: unexpected EOF, expecting }",
         "an engine that compiles"),
        ("cmd/kube/main.go:12:1: undefined: sayHello", "an engine that compiles"),
    ],
)  # fmt: skip
def test_each_failure_has_its_remedy(line: str, expected: str):
    error = failure([*NOISE, "# k8s.io/api/core/v1", f"  {line}" if "killed" in line else line], 1)
    assert error.seen == line
    assert error.expected == expected
    assert error.next_step


def test_the_first_useful_line_is_shown():
    error = failure([*NOISE, "# example.org/x", "x.go:1:1: first", "x.go:2:1: second"], 1)
    assert error.seen == "x.go:1:1: first"


def test_go_that_says_nothing():
    assert failure(NOISE, -9).seen == "go ended with exit code -9"


def test_a_full_disk_that_go_does_not_name_is_named():
    line = "/usr/local/go/src/runtime/arena.go:88:2: cannot find package"
    assert failure([line], 1).seen == line
    assert failure([line], 1, is_full=True).seen == "no space left on device for Go's caches"
