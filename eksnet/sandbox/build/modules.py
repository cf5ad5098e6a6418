"""What the engine is made of: a Go module that pins all, and the programs in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from eksnet import versions
from eksnet.bootstrap import ENGINE_BUILT

_FLAGS = ("-trimpath", "-buildvcs=false")
_STRIPPED = ("-s", "-w")
_KUBERNETES_VERSION = "k8s.io/component-base/version"
# Without all three, kubectl cannot parse the version that the API server reports.
_KUBERNETES_STAMPS = (
    f"-X {_KUBERNETES_VERSION}.gitVersion={versions.KUBERNETES}",
    f"-X {_KUBERNETES_VERSION}.gitMajor={versions.MAJOR}",
    f"-X {_KUBERNETES_VERSION}.gitMinor={versions.MINOR}",
)
_HELM_STAMPS = (
    f"-X helm.sh/helm/v3/internal/version.version={versions.HELM}",
    # Else `helm template` and `helm lint` take the cluster for a 1.20.
    *(
        f"-X helm.sh/helm/v3/pkg/{package}.k8sVersion{part}={number}"
        for package in ("chartutil", "lint/rules")
        for part, number in (("Major", versions.MAJOR), ("Minor", versions.MINOR))
    ),
)
_CONTROLLER_STAMPS = (
    "-X sigs.k8s.io/aws-load-balancer-controller/pkg/version.GitVersion=" + versions.CONTROLLER,
)


@dataclass(frozen=True)
class Program:
    """One program of the engine.

    Attributes:
        name: Its file name.
        package: The Go package it is built from, as `go build` takes it.
        stamps: Linker flags that write its version into it.
    """

    name: str
    package: str
    stamps: tuple[str, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of `go build`: reproducible, and without debugging tables."""
        return (*_FLAGS, "-ldflags", " ".join(_STRIPPED + self.stamps))


@dataclass(frozen=True)
class Chart:
    """A Helm chart among the sources of a Go module, which the engine has as one packed file.

    Attributes:
        name: Its file name, as a chart repository has it.
        module: The Go module.
        folder: The chart's folder in that module.
    """

    name: str
    module: str
    folder: str


@dataclass(frozen=True)
class Module:
    """A Go module and its programs, in the order in which they are built.

    Attributes:
        name: The first part of its cache directories' names.
        source: The directory with go.mod.
        programs: What is needed first comes first.
        peak: How many MB a build from nothing takes, Go's caches included.
        charts: The charts that belong to its programs.
    """

    name: str
    source: Path
    programs: tuple[Program, ...]
    peak: int = 0
    charts: tuple[Chart, ...] = ()

    @property
    def go_directive(self) -> str:
        """The oldest Go that the module accepts, such as `1.24.11`."""
        for line in (self.source / "go.mod").read_text().splitlines():
            if line.startswith("go "):
                return line.removeprefix("go ").strip()
        raise ValueError(f"{self.source}/go.mod has no go directive")

    @property
    def files(self) -> tuple[Chart | Program, ...]:
        """All that is made of it, in the order in which it is."""
        return (*self.charts, *self.programs)

    def key(self) -> str:
        """Return what distinguishes two engines: 12 hexadecimal digits.

        They stand for the pins, our sources without their tests and the flags. Everything beside
        the sources counts too, since Go may embed it. Which Go builds it does not count, as long
        as it is one that go.mod accepts: whoever unpacks an engine may have another, or none.
        """
        digest = hashlib.sha256(repr((self.programs, self.charts)).encode())
        for program in self.programs:
            digest.update(repr(program.flags).encode())
        for path in self._sources():
            name = path.relative_to(self.source).as_posix()
            digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\0".encode())
        return digest.hexdigest()[:12]

    def _sources(self) -> list[Path]:
        def counts(path: Path) -> bool:
            parts = path.relative_to(self.source).parts
            hidden = any(part.startswith(".") or part == "testdata" for part in parts)
            return path.is_file() and not hidden and not path.name.endswith("_test.go")

        return sorted(filter(counts, self.source.rglob("*")))


_CONTROLLER = "sigs.k8s.io/aws-load-balancer-controller"
# From 3.0 on, a chart has the version of its controller.
CONTROLLER_CHART = Chart(
    f"aws-load-balancer-controller-{versions.CONTROLLER.removeprefix('v')}.tgz",
    _CONTROLLER,
    "helm/aws-load-balancer-controller",
)

# The controller and its plan stand last: the sandbox starts without them, and only later chapters
# need them.
MODULE = Module(
    "engine",
    versions.ENGINE,
    (
        Program("etcd", "go.etcd.io/etcd/server/v3"),
        Program("kube", "./cmd/kube", _KUBERNETES_STAMPS),
        Program("coredns", "github.com/coredns/coredns"),
        Program("runtime", "./cmd/runtime"),
        Program("loadbalancer", "./cmd/loadbalancer"),
        Program("kubectl", "k8s.io/kubernetes/cmd/kubectl", _KUBERNETES_STAMPS),
        Program("agnhost", "k8s.io/kubernetes/test/images/agnhost"),
        Program("helm", "helm.sh/helm/v3/cmd/helm", _HELM_STAMPS),
        Program(
            "aws-load-balancer-controller",
            _CONTROLLER,
            _CONTROLLER_STAMPS,
        ),
        Program("plan", "./cmd/plan", _CONTROLLER_STAMPS),
    ),
    ENGINE_BUILT.peak,
    (CONTROLLER_CHART,),
)
