"""A real browser, headless, driven by selenium: it opens the explorer of a node, reads it and takes pictures.

Selenium and Debian's chromium are what `make test-browser` needs besides; `why_not` says what is missing.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support.source_tree import ROOT

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

PICTURES: Final = ROOT / "build" / "screenshots"
SIZES: Final = {"desktop": (1280, 900), "phone": (390, 844)}
SCHEMES: Final = ("light", "dark")
WAIT_S: Final = 60
"""How long a page may take on a busy machine; nothing waits as long where all is well."""
OPTIONS: Final = (
    "--headless",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def why_not() -> str:
    """What is missing to drive a browser; empty where nothing is."""
    if importlib.util.find_spec("selenium") is None:
        return "selenium is not installed: `make test-browser` installs it"
    programs = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if programs:
        return f"no {' and no '.join(programs)} here: apt-get install chromium chromium-driver"
    return ""


@contextmanager
def browser() -> Iterator[Chrome]:
    """A browser with an empty profile."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = _program("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for option in (*OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        driver = webdriver.Chrome(options, webdriver.ChromeService(_program("chromedriver")))
        try:
            driver.set_page_load_timeout(WAIT_S)
            yield driver
        finally:
            driver.quit()


class Explorer:
    """The pages of one node in one browser."""

    def __init__(self, driver: Chrome, url: str) -> None:
        """`url` is the node's RPC address."""
        self.driver = driver
        self.url = f"{url}/explore/"

    def open(self, path: str = "", shows: str = "h1") -> WebElement:
        """Goes to the page behind `#/path`, waits until it is whole, and until the selector `shows` finds
        something there.
        """
        self.leave()
        self.driver.get(f"{self.url}#/{path}")
        self.find("main:not([data-busy])")
        return self.find(shows)

    def leave(self) -> None:
        """Closes the page: a page whose node has stopped complains for ever."""
        self.driver.get("about:blank")

    def find(self, selector: str) -> WebElement:
        """The first element that a selector finds, once there is one."""
        return self._wait().until(lambda driver: driver.find_elements("css selector", selector))[0]

    def all(self, selector: str) -> list[WebElement]:
        """The elements that a selector finds now."""
        found: list[WebElement] = self.driver.find_elements("css selector", selector)
        return found

    def until_text(self, selector: str, text: str) -> None:
        """Waits until an element of the selector holds the text."""
        self._wait().until(lambda _: any(text in each for each in self._texts(selector)))

    def until(self, happened: Callable[[], object]) -> None:
        """Waits until something about the page is true."""
        self._wait().until(lambda _: happened())

    def text(self, selector: str = "main") -> str:
        """The text that the first element of a selector shows."""
        return str(self.find(selector).text)

    def press(self, key: str) -> None:
        """Presses a key by its name, such as TAB, wherever the page listens."""
        from selenium.webdriver.common.keys import Keys

        self.driver.switch_to.active_element.send_keys(getattr(Keys, key))

    def complaints(self) -> list[str]:
        """What the browser has complained of since the last call: errors, and what the policy forbade."""
        return [str(line["message"]) for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]

    def picture(self, name: str) -> None:
        """Pictures of the page as it is: on a desktop and a phone, light and dark, at its full height."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        for size, (width, height) in SIZES.items():
            for scheme in SCHEMES:
                self._show(width, height, scheme)
                self._save(PICTURES / f"{name}-{size}-{scheme}.png", width, height)
        self._show(*SIZES["desktop"], SCHEMES[0])

    def overflow_px(self) -> int:
        """By how many pixels the page is wider than its window."""
        script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.driver.execute_script(script))

    def resize(self, size: str) -> None:
        """Gives the window one of the sizes."""
        self._show(*SIZES[size], SCHEMES[0])

    def _show(self, width: int, height: int, scheme: str) -> None:
        self._size(width, height)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._command("Emulation.setEmulatedMedia", features=[feature])

    def _save(self, path: Path, width: int, height: int) -> None:
        whole = int(self.driver.execute_script("return document.documentElement.scrollHeight"))
        self._size(width, max(height, whole))
        assert self.driver.save_screenshot(str(path))

    def _size(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._command("Emulation.setDeviceMetricsOverride", **metrics)

    def _command(self, name: str, **parameters: Any) -> None:
        self.driver.execute_cdp_cmd(name, parameters)

    def _texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)"
        return list(self.driver.execute_script(script, selector))

    def _wait(self) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, WAIT_S)


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} is missing; `why_not` says so before"
    return found
