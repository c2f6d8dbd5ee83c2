"""The page, in a browser, as somebody uses it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.web import staged
from tests.web.conftest import served
from tests.web.staged import TOKEN, Playing, Site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_MS = 60_000
_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: no browser to see the page with")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        yield chromium
        chromium.close()


def _complaints(said: ConsoleMessage) -> list[str]:
    """With what each is about."""
    about = f"{said.text} {said.location['url']}"
    return [about] if said.type in ("error", "warning") else []


@contextmanager
def seen(
    browser: Browser, url: str, *, known: tuple[str, ...] = (), **options: Any
) -> Iterator[Page]:
    """A page that complains of nothing, and asks nobody else for anything. known: what is in the
    complaints that are meant to come, besides that nobody is logged in."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda said: wrong.extend(_complaints(said)))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    yield page
    context.close()
    meant = ("status of 401", *known)
    assert not [text for text in wrong if not any(word in text for word in meant)]
    assert asked and all(one.startswith(url) for one in asked)
    assert not any(TOKEN in one for one in asked)


def log_in(page: Page, token: str = TOKEN) -> None:
    page.locator("#token").fill(token)
    page.locator("#token").press("Enter")


def until(page: Page, is_so: Callable[[], Any]) -> None:
    """Playwright's own way evaluates text, which the page forbids."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not is_so():
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, channels=["manager"])
    site.live("door")
    site.play("door", 3)
    site.cameras["till"]._set("lost", "no answer for 10 s")
    site.tell(staged.change(1, label="damage", camera="till"))
    yield site
    site.close()


def test_a_day_at_the_page(shop: Site, browser: Browser) -> None:
    options = {"locale": "en-GB", "viewport": {"width": 1440, "height": 900}}
    with served(shop) as url, Playing(shop, "door"), seen(browser, url, **options) as page:
        expect(page).to_have_url(f"{url}/login")
        log_in(page, "another token than that")
        expect(page.locator("#said")).to_have_text("That is another token.")
        log_in(page)
        _sees_live_pictures(shop, page)
        _sees_an_event_come_and_judges_it(shop, page)
        _draws_a_zone(shop, page)
        page.get_by_role("link", name="System").click()
        expect(page.get_by_role("cell", name="no answer for 10 s")).to_be_visible()
        page.get_by_role("button", name="Log out").click()
        expect(page.locator("#token")).to_be_visible()
        page.goto(f"{url}/")
        expect(page).to_have_url(f"{url}/login")


def _sees_live_pictures(shop: Site, page: Page) -> None:
    door, till = page.locator("[data-camera=door]"), page.locator("[data-camera=till]")
    expect(till.locator(".over")).to_contain_text("no answer for 10 s")
    expect(door.locator(".state")).to_have_text("Live")
    door_canvas = "document.querySelector('[data-camera=door] canvas')"
    until(page, lambda: page.evaluate(f"{door_canvas}.dataset.shown > 0"))
    first = page.evaluate(f"{door_canvas}.toDataURL()")
    until(page, lambda: page.evaluate(f"{door_canvas}.toDataURL()") != first)
    expect(door.locator(".people li").first).to_contain_text("Person 2")
    expect(door.locator(".people li").last).to_contain_text("normal 94%")
    shop.cameras["door"]._set("lost", "unplugged")
    expect(door.locator(".over")).to_contain_text("unplugged")
    shop.live("door")
    expect(door.locator(".over")).to_be_hidden()


def _sees_an_event_come_and_judges_it(shop: Site, page: Page) -> None:
    shop.tell(staged.change(7, "start", label="assault", ago_s=8))
    expect(page.locator("[data-camera=door] .alarm")).to_have_text("assault · Person 2 · 91%")
    expect(page.locator("#going")).to_have_text("1")
    page.get_by_role("link", name="Events").click()
    events = page.locator(".list > li")
    expect(events).to_have_count(2)
    shop.tell(staged.change(8, "start", label="theft", ago_s=7))
    expect(events).to_have_count(3)
    expect(events.first).to_contain_text("going on")
    events.first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The clip is written once the event is over.")
    shop.tell(staged.change(8, "end", label="theft", ago_s=7))
    shop.record(staged.name(8))
    until(page, lambda: page.evaluate("document.querySelector('video')?.currentTime > 0.2"))
    dialog.get_by_role("button", name="Wrong").click()
    dialog.get_by_role("button", name="normal").click()
    entry = shop.journal.entry
    until(page, lambda: entry(staged.name(8)).corrected == "normal")
    pressed = dialog.get_by_role("button", name="normal")
    expect(pressed).to_have_attribute("aria-pressed", "true")
    expect(pressed).to_be_focused()
    with page.expect_download() as download:
        dialog.get_by_role("link", name="Download clip").click()
    assert download.value.suggested_filename.endswith("-theft.mp4")
    page.keyboard.press("Escape")
    expect(events.first).to_contain_text("was normal")
    expect(events.first.locator("img")).to_be_visible()
    page.locator(".filters").get_by_label("Camera").select_option("till")
    expect(events).to_have_count(1)
    expect(events.first).to_contain_text("damage")


def _draws_a_zone(shop: Site, page: Page) -> None:
    page.get_by_role("link", name="Zones").click()
    page.get_by_role("button", name="Draw zone").click()
    sheet = page.locator(".still svg")
    until(page, lambda: page.evaluate("document.querySelector('.still img').naturalWidth > 0"))
    box = sheet.bounding_box()
    assert box is not None
    corners = [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]
    for x, y in (*corners, corners[0]):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.get_by_label("Name").fill("Till")
    page.get_by_label("Mode").select_option("ignore")
    page.get_by_label("theft").check()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.8 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Save").click()
    until(page, lambda: shop.journal.zones("door"))
    (zone,) = shop.journal.zones("door")
    assert (zone.name, zone.mode, zone.labels) == ("Till", "ignore", ("theft",))
    expected = [*corners[:2], (0.9, 0.7), corners[3]]
    for got, wanted in zip(zone.polygon, expected, strict=True):
        assert got == pytest.approx(wanted, abs=0.01)
    page.reload()
    expect(page.get_by_label("Name")).to_have_value("Till")
    page.locator(".corner").first.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Save").click()
    until(page, lambda: shop.journal.zones("door")[0].polygon[0][0] > zone.polygon[0][0])


def test_a_small_screen_in_korean(shop: Site, browser: Browser, tmp_path: Path) -> None:
    options = {"locale": "ko-KR", "viewport": {"width": 360, "height": 740}, "has_touch": True}
    with served(shop) as url, seen(browser, url, **options) as page:
        expect(page.get_by_role("button", name="로그인")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        log_in(page)
        expect(page.locator("[data-camera=till] .state")).to_have_text("연결 끊김")
        for name in ("이벤트", "구역", "시스템", "실시간"):
            page.get_by_role("link", name=name).tap()
            expect(page.locator(f".view.{_VIEWS[name]} > *").first).to_be_attached()
            if name == "시스템":
                expect(page.locator("tbody").last).to_contain_text("manager")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_role("link", name="이벤트").tap()
        expect(page.locator(".list")).to_contain_text("기물파손")
        page.get_by_role("button", name="English").tap()
        expect(page.locator(".list")).to_contain_text("damage")
        page.reload()
        expect(page.locator(".list")).to_contain_text("damage")
        assert page.evaluate("document.documentElement.lang") == "en"


def test_an_event_has_an_address_and_back_leads_away(shop: Site, browser: Browser) -> None:
    shop.tell(staged.change(7, "start", label="assault", ago_s=8))
    with (
        served(shop) as url,
        seen(browser, url, known=("nobody-knows-it",), locale="en-GB") as page,
    ):
        log_in(page)
        dialog = page.get_by_role("dialog")
        page.locator("[data-camera=door] .alarm a").click()
        expect(dialog).to_contain_text("assault · door")
        expect(page).to_have_url(f"{url}/#/events/{staged.name(7)}")
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(page).to_have_url(f"{url}/#/events")
        page.locator(".list > li", has_text="damage").click()
        expect(dialog).to_contain_text("damage · till")
        page.reload()
        expect(dialog).to_contain_text("No clip is kept")
        page.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()
        page.locator(".list > li", has_text="assault").click()
        expect(dialog).to_be_visible()
        page.go_back()
        expect(dialog).to_be_hidden()
        expect(page).to_have_url(f"{url}/#/events")
        page.locator(".list > li", has_text="assault").click()
        expect(dialog).to_be_visible()
        page.evaluate("location.hash = '#/events/nobody-knows-it'")
        expect(dialog).to_be_hidden()
        expect(page).to_have_url(f"{url}/#/events")
        page.goto(f"{url}/#/constructor")
        expect(page.locator("[data-camera=door]")).to_be_visible()
        shop.tell(staged.change(9, "start", ago_s=8))
        page.get_by_role("link", name="theft at door").click()
        expect(dialog).to_contain_text("theft · door")
        dialog.get_by_role("button", name="Right").click()
        dialog.get_by_role("button", name="Take back").click()
        until(page, lambda: not shop.journal.entry(staged.name(9)).verdict)


def test_a_list_stays_where_it_is_when_the_line_is_back(shop: Site, browser: Browser) -> None:
    for number in range(20, 60):
        shop.tell(staged.change(number, ago_s=4000.0 + number))
    with served(shop) as url, seen(browser, url, locale="en-GB") as page:
        page.evaluate("localStorage.language = 'fr'")
        page.goto(f"{url}/login#/events")
        page.reload()
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#token")).to_have_attribute("type", "text")
        log_in(page)
        events = page.locator(".list > li")
        expect(events).to_have_count(30)
        page.get_by_role("button", name="Load older").click()
        expect(events).to_have_count(41)
        shop.app.state.streams.close()
        expect(page.locator("#line")).to_have_attribute("data-state", "lost")
        shop.tell(staged.change(99, label="assault", ago_s=20))
        expect(page.locator("#line")).to_have_attribute("data-state", "open")
        expect(events).to_have_count(42)
        expect(events.first).to_contain_text("assault")
        page.get_by_label("Feedback").select_option("none")
        expect(events).to_have_count(30)


def test_a_line_that_is_silent_is_dead(shop: Site, browser: Browser) -> None:
    """As it is where a network goes without a word."""
    with served(shop) as url, seen(browser, url, known=("net::ERR_",), locale="en-GB") as page:
        page.clock.install()
        log_in(page)
        over = page.locator("[data-camera=door] .over")
        expect(page.locator("#line")).to_have_attribute("data-state", "open")
        expect(over).to_be_hidden()
        page.route("**/api/updates", lambda route: route.abort())
        page.clock.fast_forward(13_000)
        expect(over).to_contain_text("No connection since")
        page.unroute("**/api/updates")
        page.clock.fast_forward(6000)
        expect(page.locator("#away")).to_be_empty()
        expect(over).to_be_hidden()


def test_a_page_whose_program_ends_says_so_and_finds_the_new_one(
    shop: Site, browser: Browser, tmp_path: Path
) -> None:
    """With another session, in which nobody is logged in, and an event that has ended since."""
    shop.tell(staged.change(7, "start", label="assault", ago_s=8))
    options = {"locale": "en-GB", "viewport": {"width": 360, "height": 740}}
    away, door = "No connection since", "[data-camera=door]"
    with ExitStack() as opened:
        with served(shop) as url:
            page = opened.enter_context(seen(browser, url, known=("net::ERR_",), **options))
            log_in(page)
            expect(page.locator("#going")).to_have_text("1")
            expect(page.locator(f"{door} .over")).to_be_hidden()
        expect(page.get_by_role("alert")).to_contain_text(away)
        expect(page.locator(f"{door} .over")).to_contain_text(away)
        expect(page.locator(f"{door} .state")).to_have_text("Not connected")
        shop.tell(staged.change(7, "end", label="assault", ago_s=8))
        with served(shop, int(url.rpartition(":")[2])):
            expect(page.locator("#away")).to_be_empty()
            expect(page.locator("#going")).to_be_hidden()
            expect(page.locator(f"{door} .over")).to_be_hidden()
            expect(page.locator(f"{door} .alarm a")).to_have_count(0)
        later = opened.enter_context(closing(Site(tmp_path / "later")))
        with served(later, int(url.rpartition(":")[2])):
            expect(page.locator("#token")).to_be_visible()


_VIEWS = {"이벤트": "events", "구역": "zones", "시스템": "system", "실시간": "live"}
