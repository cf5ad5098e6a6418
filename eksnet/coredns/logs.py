"""The lines of a CoreDNS log, without what others put in front of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

# CoreDNS's part begins with its level; what stops its start, with the plugin or the place alone.
_BEGIN = re.compile(
    r"\[(?:DEBUG|INFO|WARNING|ERROR|FATAL|PANIC)\] |plugin/\w+: |\S+:\d+ - Error during parsing"
)


def log_lines(log: str) -> Iterator[str]:
    """Yield the lines of a log as CoreDNS 1.6 and newer write them.

    Left out are the times of `kubectl logs --timestamps` and of older versions, the names of
    `--prefix`, and what other programs that collect logs write in their place.

    Example:
        >>> [*log_lines("[pod/coredns-x/coredns] 2025-10-01T10:00:00.5Z [INFO] SIGTERM: done")]
        ['[INFO] SIGTERM: done']
    """
    for line in log.splitlines():
        begin = _BEGIN.search(line)
        yield line[begin.start() :] if begin else line
