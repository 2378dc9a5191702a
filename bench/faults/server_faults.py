"""What a server itself says went wrong: its end, errors in its log, and internal errors that it counted."""

import re
from typing import Final

import httpx

from tests.e2e.server import Server

_ERROR: Final = re.compile(r"Traceback| ERROR | CRITICAL ")
_INTERNAL: Final = re.compile(r'^cnnsvc_request_duration_seconds_count{code="internal".*} ([\d.]+)$', re.MULTILINE)
_SHOWN_CHARACTERS: Final = 3000


def server_faults(server: Server) -> list[str]:
    if server.process.poll() is not None:
        return [f"the server ended with {server.process.returncode}"]
    found = []
    if num_internal := sum(map(float, _INTERNAL.findall(httpx.get(f"{server.http_url}/metrics").text))):
        found.append(f"{num_internal:.0f} answers are internal errors")
    log = "".join(server.log)
    if error := _ERROR.search(log):
        found.append(f"the server's log has an error:\n{log[max(0, error.start() - 200) :][:_SHOWN_CHARACTERS]}")
    return found
