"""The widget *Corefile*: a Corefile that is checked while it is written, and tried on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from traitlets import Unicode

from eksnet import versions
from eksnet.coredns.linting import Finding, lint, summary
from eksnet.coredns.releases import epochs
from eksnet.errors import EksnetError
from eksnet.inputs import count
from eksnet.listing import Listing
from eksnet.panel import MARK, Panel, Table, Text
from eksnet.widgets.model import Model

START = """\
.:53 {
    errors
    health
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
_RELEASE = versions.COREDNS.removeprefix("v")
_MOST = 20_000


class CorefileEditor(Model):
    """A Corefile, what lint says of it, and what a dry run of it has answered.

    Attributes:
        corefile: The text.
        release: The release of CoreDNS for which it is checked.
        names: What a dry run asks: NAME or NAME/TYPE, with blanks between.
    """

    title: ClassVar[str] = "Corefile"
    controls: ClassVar[tuple[str, ...]] = ("corefile", "release", "names")

    corefile = Unicode(START).tag(label="Corefile", wide=True, lines=17)
    release = Unicode(_RELEASE).tag(label="CoreDNS", suggestions=(*epochs(), _RELEASE))
    names = Unicode("").tag(label="names to ask", wide=True)

    @property
    def actions(self) -> Mapping[str, str]:
        """The button, where there is something to try the text with."""
        return {name: "Dry run" for name in super().actions}

    @property
    def waiting(self) -> str:
        """What is being done."""
        return "Starting CoreDNS with this text …"

    def check_observable(self) -> None:
        """Look whether there is something to ask.

        Raises:
            EksnetError: There is not.
        """
        if not self.names.split():
            raise EksnetError(
                "there is no name to ask", "a name such as example.com", "fill in 'names to ask'"
            )

    @property
    def findings(self) -> Listing[Finding]:
        """What lint says of the text.

        Raises:
            EksnetError: The release is not known, or the text is too long for a widget.
        """
        count(len(self.corefile), "the length of the text", 0, _MOST)
        return lint(self.corefile, self.release.strip() or _RELEASE)

    def panel(self) -> Panel:
        """Return the findings, the answers of a dry run, and the text by its lines."""
        findings = self.findings
        parts: list[Any] = []
        if findings:
            parts.append(Table("Findings", findings))
        if self.seen is not None:
            parts.append(Table("Dry run", self.seen.answers))
        parts.append(Text("By line", _numbered(self.corefile, findings)))
        return Panel(f"{summary(findings)}{self._tried()}", tuple(parts))

    def _tried(self) -> str:
        if self.seen is None:
            return ""
        if self.seen.refused:
            return f" In the dry run CoreDNS refused it: {self.seen.refused}."
        return "".join(f" {one}." for one in ("CoreDNS ran with it", *self.seen.remarks))

    @property
    def told(self) -> Listing[str]:
        """The settings in words: of the text, how long it is."""
        lines = len(self.corefile.splitlines())
        rows = tuple(
            (label, f"{lines} line{'s' * (lines != 1)}" if name == "corefile" else value)
            for name, (label, value) in zip(self.controls, self.settings.rows, strict=True)
        )
        return Listing(self.settings.columns, rows, self.controls)

    @property
    def elsewhere(self) -> str:
        """That the last dry run was of another text, when of this one there was none."""
        if not self.observed or self.settings.rows in self.observed:
            return ""
        return "The last dry run was of another text, or asked for other names."


def _numbered(text: str, findings: Listing[Finding]) -> str:
    """Return a text with the numbers of its lines, and a sign at those with a finding."""
    marked = {one.line for one in findings}
    lines = text.split("\n")
    lines = lines[:-1] if lines[-1:] == [""] else lines
    return "\n".join(
        f"{MARK if number in marked else ' '} {number:3}  {line}".rstrip()
        for number, line in enumerate(lines, start=1)
    )
