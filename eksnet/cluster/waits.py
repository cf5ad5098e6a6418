"""What a request waits for before it is sent once more, with a countdown that the reader sees."""

from __future__ import annotations

import time
from typing import Any

from eksnet.cluster.countdown import Countdown
from eksnet.cluster.targets import Target

# As client-go does: it waits where the API server says how long, ten times at most.
_MOST = 10
_RETRY_AFTER = "Retry-After"
_LONGEST = 30.0
# How long a cut of the connection may take, in seconds.
PATIENCE = 30.0
_PAUSE = 1.0


class Waits:
    """The pauses of one request."""

    def __init__(self, target: Target) -> None:
        """Remember which cluster the countdown names; nothing has been waited for yet."""
        self._target = target
        self._began = time.monotonic()
        self._asked = 0
        self._again = False

    def once(self) -> bool:
        """Return whether this is the first time that it is asked."""
        first, self._again = not self._again, True
        return first

    def for_connection(self) -> bool:
        """Wait a moment for a connection; return whether to try again."""
        left = self._began + PATIENCE - time.monotonic()
        if left <= 0:
            return False
        self._pause(f"an answer of {self._target}", min(_PAUSE, left), left)
        return True

    def for_server(self, response: Any) -> bool:
        """Wait as long as an answer asks for; return whether it did.

        Args:
            response: The answer: 429, or an error of the server, with the header Retry-After.
        """
        wanted = str(response.headers.get(_RETRY_AFTER) or "")
        if not (response.status == 429 or response.status >= 500) or not wanted.isdecimal():
            return False
        if self._asked == _MOST:
            return False
        self._asked += 1
        seconds = min(float(wanted), _LONGEST)
        self._pause(f"{self._target}, which takes no more requests for now", seconds, seconds)
        return True

    def _pause(self, what: str, seconds: float, left: float) -> None:
        with Countdown(what) as countdown:
            countdown.show(left)
            time.sleep(seconds)
