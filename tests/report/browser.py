"""A headless browser over the WebDriver protocol, which is plain HTTP."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSER, DRIVER = (next(filter(None, map(shutil.which, names)), None) for names in (("chromium",), ("chromedriver",)))
needs_browser = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no chromium with its chromedriver")

_KEYS = {"ArrowLeft": 37, "ArrowRight": 39}


class Browser:
    """One window."""

    def __init__(self, address: str) -> None:
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
        wanted = {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": BROWSER, "args": arguments},
        }
        self._address = f"{address}/session"
        self._address += "/" + self._send("", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def open(self, address: str) -> None:
        self._send("/url", {"url": address})

    def run(self, script: str) -> Any:
        """What a script returns, or what the promise that it returns comes to."""
        return self._send("/execute/sync", {"script": script, "args": []})

    def until(self, script: str, seconds: float = 60) -> Any:
        """The first true value of a script.

        Raises:
            TimeoutError: With what the page says, if there is none in time.
        """
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            if time.monotonic() > end:
                raise TimeoutError(f"{script}: {self.run('return document.body.innerText')[:500]}")
            time.sleep(0.2)
        return value

    def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """The size of the window, and what its reader prefers."""
        self._devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, key: str) -> None:
        """A key of the keyboard, by its name."""
        for kind in ("rawKeyDown", "keyUp"):
            self._devtools("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_KEYS[key])

    def errors(self) -> list[str]:
        """What the console says that is an error, since the last call."""
        return [entry["message"] for entry in self._send("/se/log", {"type": "browser"}) if entry["level"] == "SEVERE"]

    def unexpected(self) -> list[str]:
        """Of these, what is not MLflow's own."""
        return [line for line in self.errors() if "users/current" not in line and "ResizeObserver" not in line]

    def click(self, element: str) -> None:
        """Presses the mouse on what a script's expression is, once that is there."""
        self.until(f"return {element}")
        x, y = self.run(
            f"const at = {element}.getBoundingClientRect(); return [at.x + at.width / 2, at.y + at.height / 2]"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self._devtools("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._send("/screenshot", None)))

    def close(self) -> None:
        self._send("", None, method="DELETE")

    def _devtools(self, name: str, **parameters: Any) -> None:
        self._send("/goog/cdp/execute", {"cmd": name, "params": parameters})

    def _send(self, path: str, body: Any, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._address + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.loads(answer.read())["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.loads(error.read())["value"]["message"]) from None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(works: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            works()
            return
        except (OSError, RuntimeError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser that is gone afterwards."""
    port = free_port()
    driver = subprocess.Popen([str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: urllib.request.urlopen(f"{address}/status", timeout=5).close(), 30)
        browser = Browser(address)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        driver.terminate()
        driver.wait(10)
