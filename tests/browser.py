"""A headless Chromium for tests, steered over its debugging pipe, so that no port and no driver is needed.

Protocol: https://chromedevtools.github.io/devtools-protocol/, JSON messages that end in a zero byte on descriptors 3
(in) and 4 (out).
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

_PROGRAMS: Final = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
_FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update"),
    *("--disable-background-networking", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
)
_PATIENCE_S: Final = 60
_KEYS: Final = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "ArrowDown": (40, ""), "ArrowUp": (38, "")}


def chromium() -> str | None:
    """Path of an installed Chromium, Debian's full one or its headless shell."""
    return next((path for program in _PROGRAMS if (path := shutil.which(program))), None)


class Page:
    """One tab. What the page it shows asked for and complained about is collected."""

    def __init__(self, commands: int, answers: int) -> None:
        self.requests: list[str] = []
        """Addresses, data: URIs left out."""
        self.complaints: list[str] = []
        """Console messages, exceptions and what the browser itself logs, violations of the page's policy included."""
        self._commands = commands
        self._answers = answers
        self._unread = b""
        self._next_id = 0
        self._session: str | None = None
        self._is_loaded = False
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def open(self, url: str, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Loads the page in a window of that many CSS pixels; narrower than 600 as a phone."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._is_loaded = False
        self.requests.clear()
        self.complaints.clear()
        self.send("Page.navigate", url=url)
        while not self._is_loaded:
            self._handle(self._receive())

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def screenshot(self) -> bytes:
        """A PNG of the whole page."""
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def wait_for(self, expression: str, patience_s: float = 20) -> None:
        """Until the JavaScript expression holds in the page."""
        give_up_at = time.monotonic() + patience_s
        while not self.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < give_up_at, f"{expression} does not come true; {self.complaints}"
            time.sleep(0.05)

    def choose_files(self, selector: str, files: Sequence[Path]) -> None:
        """As the dialog of a file input does."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def drop_files(self, files: Sequence[Path], x: int, y: int) -> None:
        """As a person who drags them from a folder onto that place."""
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for step in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=step, x=x, y=y, data=data)

    def press(self, key: str, *commands: str, modifiers: int = 0) -> None:
        """A key of the keyboard, by its name in the DOM; commands are what the system makes of it, such as paste."""
        code, text = _KEYS[key] if key in _KEYS else (ord(key.upper()), "" if modifiers else key)
        shared = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, commands=commands, **shared)
        self.send("Input.dispatchKeyEvent", type="keyUp", **shared)

    def accessible(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader hears of."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command and its result; events that arrive before it are collected."""
        self._next_id += 1
        message = {"id": self._next_id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._next_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self._handle(answer)

    def _handle(self, event: dict[str, Any]) -> None:
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self._is_loaded = True
        elif method == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            self.requests += [] if url.startswith("data:") else [url]
        elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(json.dumps(parameters))

    def _receive(self) -> dict[str, Any]:
        give_up_at = time.monotonic() + _PATIENCE_S
        while b"\0" not in self._unread:
            is_ready, _, _ = select.select([self._answers], [], [], max(0, give_up_at - time.monotonic()))
            chunk = os.read(self._answers, 2**20) if is_ready else b""
            assert chunk, f"Chromium {'ended' if is_ready else f'said nothing for {_PATIENCE_S} s'}"
            self._unread += chunk
        message, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(message))


@contextlib.contextmanager
def new_page(program: str, profile_dir: Path) -> Iterator[Page]:
    """A tab of a Chromium of its own, which ends with it."""
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    # The shell puts the pipes where Chromium looks for them.
    redirect = f'exec "$@" 3</dev/fd/{command_read} 4>/dev/fd/{answer_write}'
    browser = subprocess.Popen(
        ["sh", "-c", redirect, "sh", program, *_FLAGS, f"--user-data-dir={profile_dir}"],
        pass_fds=(command_read, answer_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_read)
    os.close(answer_write)
    try:
        yield Page(command_write, answer_read)
    finally:
        os.close(command_write)  # Chromium ends when its pipe does
        os.close(answer_read)
        try:
            browser.wait(timeout=10)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()
