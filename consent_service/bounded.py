"""Calls to hosts of others: what is read of an answer has an end, in bytes and in seconds."""

from __future__ import annotations

import io
import time

from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, HTTPResponse


class BoundedAdapter(HTTPAdapter):
    """Reads no more of an answer, and no longer, than it may take."""

    def __init__(self, *, most_bytes: int, longest_seconds: float) -> None:
        """Give an answer up that is larger, or still trickles in after so many seconds."""
        super().__init__()
        self._most_bytes = most_bytes
        self._longest_seconds = longest_seconds

    def build_response(self, req: PreparedRequest, resp: BaseHTTPResponse) -> Response:
        """Read the body here, where it can be given up.

        :raises RequestException: when it is too long
        """
        deadline = time.monotonic() + self._longest_seconds
        body = io.BytesIO()
        while part := resp.read1(self._most_bytes):
            body.write(part)
            if body.tell() > self._most_bytes or time.monotonic() > deadline:
                resp.close()
                raise RequestException("the answer is too long")
        resp.release_conn()
        body.seek(0)
        whole = HTTPResponse(
            body, resp.headers, resp.status, preload_content=False, decode_content=False
        )
        return super().build_response(req, whole)
