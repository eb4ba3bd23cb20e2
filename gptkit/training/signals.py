"""SIGTERM and Ctrl-C while training: finish the step, save, and leave. A second Ctrl-C leaves at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType

CAUGHT = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Remembers the signal that asked this process to stop."""

    signal: int = 0
    """Its number; 0 while none came."""

    def listen(self) -> None:
        """Take over both signals. Lightning puts back the handlers that were there before it, when it is done."""
        if threading.current_thread() is threading.main_thread():  # Python allows handlers there alone
            for caught in CAUGHT:
                signal.signal(caught, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
