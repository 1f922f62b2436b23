"""The report of a real grid, as a browser shows it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.commands import Bench
from support.paths import PLUGINS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
GRID = """
name = "dots"
question = "Which learning rate finds the dot?"
model = "line"
dataset = "dots"
epochs = 3
batch_size = 20
seeds = [0, 1]
optimizer = { name = "sgd", lr = { grid = [0.1, 0.001] } }
"""
WIDTHS = (1280, 400)


@pytest.fixture(scope="module")
def report(browser: Browser, tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """The report that a grid leaves with its own run; made only where there is a browser to look at it."""
    assert browser.is_connected()
    folder = tmp_path_factory.mktemp("reported")
    shutil.copy(empty_database, folder / "mlflow.db")
    bench = Bench(folder, folder / "cache")
    bench.write("grid.toml", GRID)
    done = bench("grid", "grid.toml", "--plugins", PLUGINS / "dots.py")
    assert done.returncode == 0, done.stderr
    (parent,) = bench.parents()
    return folder / "mlruns" / parent.info.experiment_id / parent.info.run_id / "artifacts" / "report.html"


@pytest.fixture(params=WIDTHS, ids=str)
def page(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Page]:
    """The report in a window of one width, without a word of complaint from the browser."""
    with browser.new_context(viewport={"width": request.param, "height": 800}) as context:
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        show(page, report)
        yield page
        assert complaints == []


def show(page: Page, report: Path) -> None:
    page.goto(report.as_uri())
    page.wait_for_selector("#chart-confusion svg:visible")


def lines(page: Page) -> int:
    return page.locator("#chart-curves [data-series]:visible").count()


def column(page: Page, name: str) -> list[str]:
    headings = page.locator("#trials thead th").all_inner_texts()
    place = next(number for number, text in enumerate(headings) if text.startswith(name))
    return [row.locator("th, td").nth(place).inner_text() for row in page.locator("#trials tbody tr").all()]


def test_no_request_leaves_the_file(browser: Browser, report: Path) -> None:
    with browser.new_context() as context:
        page, requests = context.new_page(), []
        context.on("request", lambda request: requests.append(request.url))
        show(page, report)
        page.get_by_role("button", name="status").click()
        assert {url.partition(":")[0] for url in requests} <= {"file", "data", "blob"}
        assert [url for url in requests if url.startswith("file")] == [report.as_uri()]
        assert page.evaluate("fetch('https://example.org').then(() => 'sent', () => 'refused')") == "refused"


def test_it_fits_the_window_and_wide_tables_scroll_in_their_own_box(page: Page) -> None:
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") == width
    box_of_trials = "(box => [box.clientWidth, box.scrollWidth])(document.querySelector('#trials').closest('.scroll'))"
    shown, whole = page.evaluate(box_of_trials)
    assert (whole > shown) == (width == 400)
    for box in page.locator("main > section").all():
        bounds = box.bounding_box()
        assert bounds
        assert bounds["x"] + bounds["width"] <= width


def test_headings_sort_the_trials_by_mouse_and_keyboard(page: Page) -> None:
    heading = page.get_by_role("button", name="optimizer.lr")
    heading.click()
    assert column(page, "optimizer.lr") == ["0.001", "0.001", "0.1", "0.1"]
    heading.press("Enter")
    assert column(page, "optimizer.lr") == ["0.1", "0.1", "0.001", "0.001"]
    assert page.locator("#trials th[aria-sort=descending]").inner_text().startswith("optimizer.lr")
    assert sum("*" in text for text in column(page, "trial")) == 1


def test_a_line_tells_what_it_is_and_pressing_a_name_hides_its_lines(page: Page) -> None:
    tips = page.locator("#chart-curves svg:visible [data-series] title").all_text_contents()
    assert {"lr=0.1, seed=0", "lr=0.1, mean of 2"} <= set(tips)
    before = lines(page)
    page.locator("#chart-curves .legend button").first.click()
    assert 0 < lines(page) <= before / 2
    page.locator("#chart-curves .legend button").first.click()
    assert lines(page) == before


def test_any_two_trials_can_be_held_side_by_side(page: Page) -> None:
    page.get_by_label("first trial").select_option("optimizer.lr=0.1 seed=0")
    page.get_by_label("second trial").select_option("optimizer.lr=0.001 seed=1")
    rows = page.locator("#differences tbody tr").all_inner_texts()
    assert [row.split() for row in rows] == [["optimizer.lr", "0.1", "0.001"], ["seed", "0", "1"]]
    page.get_by_label("second trial").select_option("optimizer.lr=0.1 seed=0")
    assert page.get_by_text("These two do not differ").is_visible()


def test_correct_and_wrong_predictions_are_told_in_words(page: Page) -> None:
    words = page.locator(".judged figcaption").all_inner_texts()
    assert words
    assert all(text.startswith(("✓ correct", "✗ wrong")) for text in words)
    assert all(page.locator("img").evaluate_all("images => images.map(image => image.naturalWidth > 0 && image.alt)"))


def test_a_dark_page_has_light_texts_in_its_charts(browser: Browser, report: Path) -> None:
    with browser.new_context(color_scheme="dark") as context:
        page = context.new_page()
        show(page, report)
        brightness = "name => getComputedStyle(document.querySelector(name)).fill.match(/\\d+/g)[0]"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
        assert int(page.evaluate(brightness, "#chart-curves svg text")) > 200
        assert int(page.evaluate(brightness, "#chart-phases svg text")) > 200
        page.emulate_media(color_scheme="light")
        assert int(page.evaluate(brightness, "#chart-curves svg text")) < 60
