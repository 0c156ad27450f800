"""A real server and a real Chromium. Without one these tests skip, unless ``EDUSOC_REQUIRE`` names chromium."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from edusoc.migrating import upgrade
from edusoc.packets import CaptureCutter
from edusoc.serving import bind
from soc_api.app import create_app
from soc_api.services import Services
from soc_core.clock import utc_now
from soc_core.keys.store import KeyStore
from soc_core.state.database import Database
from soc_core.store.embedded import EmbeddedStore
from tests.browser.world import PASSWORD, SampleRules, build
from tests.needs import need

SCREENSHOTS = Path(__file__).parent / "screenshots"
PHONE = (390, 844)
BINARIES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Return the browser's path; skip (or fail, where it is required) without browser or driver."""
    found = next((path for name in BINARIES if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    return need("chromium", found if driver else None, "chromium or chromedriver is not installed")


@dataclass(frozen=True)
class Place:
    """Hold a running installation."""

    url: str
    services: Services
    units: dict[str, str]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    chromium()
    directory = tmp_path_factory.mktemp("browser")
    database = Database.in_directory(directory)
    upgrade(database)
    store = EmbeddedStore(directory / "events", writer=True)
    units = build(store, database, utc_now)
    services = Services(
        database=database,
        reader=store,
        rules=SampleRules(),
        keys=KeyStore(directory / "keys"),
        clock=utc_now,
        packets=CaptureCutter(database, store, directory / "cut"),
    )
    listener = bind("127.0.0.1", 0)
    app = create_app(services)
    config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield Place(f"http://127.0.0.1:{listener.getsockname()[1]}", services, units)
    app.state.closing.set()
    server.should_exit = True
    thread.join(timeout=10)
    store.close()
    database.close()


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = chromium()
    profile = tmp_path_factory.mktemp("profile")
    # The sandbox needs privileges that containers do not give; /dev/shm is small there.
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        "--force-prefers-reduced-motion",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield opened
    opened.quit()


class Browser:
    """Drive the browser the way a person does."""

    def __init__(self, driver: webdriver.Chrome, place: Place) -> None:
        self.driver = driver
        self.place = place

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, path: str) -> None:
        self.driver.get(self.place.url + path)

    def log_in(self, name: str) -> None:
        self.driver.delete_all_cookies()
        self.open("/login")
        self.find("#name").send_keys(name)
        self.find("#password").send_keys(PASSWORD)
        self.find("button.primary").click()
        self.wait("main")

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, selector: str, text: str = "") -> WebElement:
        """Return the first shown element that matches and holds the text; wait for it at most 10 seconds."""

        def shown(_driver: object) -> WebElement | None:
            try:
                return next(
                    (item for item in self.all(selector) if item.is_displayed() and text in item.text), None
                )
            except Exception:  # noqa: BLE001 - an element that was replaced while we looked is looked for again
                return None

        found = WebDriverWait(self.driver, 10, poll_frequency=0.05).until(shown)
        assert found is not None
        return found

    def choose(self, selector: str, text: str) -> None:
        """Choose an option that loads another page, and wait for that page."""
        page = self.find("html")
        Select(self.find(selector)).select_by_visible_text(text)
        WebDriverWait(self.driver, 10, poll_frequency=0.05).until(staleness_of(page))
        self.wait("main")

    def wait_gone(self, selector: str) -> None:
        WebDriverWait(self.driver, 10, poll_frequency=0.05).until(
            lambda _driver: not any(item.is_displayed() for item in self.all(selector))
        )

    def save(self, name: str) -> None:
        SCREENSHOTS.mkdir(exist_ok=True)
        self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))

    def faults(self) -> list[str]:
        """Return what the browser complained about since the last call: CSP violations, failed loads, errors."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def browser(driver: webdriver.Chrome, place: Place) -> Browser:
    driver.delete_all_cookies()
    driver.get_log("browser")
    opened = Browser(driver, place)
    opened.size(1440, 900)
    return opened
