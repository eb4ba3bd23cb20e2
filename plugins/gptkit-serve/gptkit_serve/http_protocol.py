"""HTTP with a limit of the size of a request's head, which uvicorn's fast protocol lacks."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SIZE = 65_536
"""Maximum number of bytes of the request line and the headers."""


class BoundedHeadProtocol(HttpToolsProtocol):
    """Refuses requests with a head of more than HEAD_SIZE bytes (status 400), before any of their content is read."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._is_in_head, self._head_size = True, 0

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._head_size += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_size > HEAD_SIZE and not self.transport.is_closing():
            self.send_400_response(f"The head of the request has more than {HEAD_SIZE:,} bytes.")

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_head, self._head_size = True, 0
