"""Reports in a browser: what a person would meet on a desktop and on a phone."""

import dataclasses
import shutil

import pytest
from test_report import DIGITS, make_complete, make_run

from gan_jax import report

sync_api = pytest.importorskip("playwright.sync_api")

SIZES = [(390, 844), (1440, 900)]


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    with sync_api.sync_playwright() as playwright:
        try:
            # The system's, or else the one that playwright installed.
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except sync_api.Error:
            pytest.skip("there is no Chromium here")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Paths of a report of one run, of one of three, and of one whose classes have names."""
    complete, one = make_complete(tmp_path_factory.getbasetemp())
    folder = tmp_path_factory.mktemp("reports")
    others = [
        make_run(folder / str(seed), dataclasses.replace(DIGITS, seed=seed)) for seed in (1, 2)
    ]
    report.write([complete, *others], folder / "three.html")
    names = dataclasses.replace(complete.data, class_names=("nil", "one", "the second", *"3456789"))
    named = dataclasses.replace(complete, task=complete.config.build(names))
    report.write([named], folder / "named.html")
    return {"one": one, **{path.stem: path for path in folder.glob("*.html")}}


@pytest.fixture
def visit(browser, reports):
    """Opens a report; at the end nothing must have gone wrong in it, nor been asked for."""
    troubles, pages = [], []

    def visit(name, size=SIZES[1]):
        page = browser.new_page(viewport=dict(zip(("width", "height"), size, strict=True)))
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        asked = []
        pages.append((page, asked))
        page.goto(reports[name].as_uri())
        return page

    yield visit
    for page, asked in pages:
        assert asked[0].startswith("file:")
        assert all(url.startswith("data:") for url in asked[1:])
        page.close()
    assert troubles == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["one", "three"])
def test_everything_loads_and_fits(visit, name, size):
    page = visit(name, size)
    for opened in (False, True):
        page.evaluate(
            "open => document.querySelectorAll('details').forEach(d => d.open = open)", opened
        )
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width == size[0]
    widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(widths) > 4
    assert min(widths) > 0
    # Text in charts, the smallest there is, against 16 of the page's.
    heights = page.locator(".chart svg text").evaluate_all(
        "all => all.map(text => text.getBoundingClientRect().height)"
    )
    assert min(heights) > 9


def test_samples_and_the_answer_are_seen_before_anything_is_scrolled(visit):
    page = visit("one")
    for seen in (".sheet img:not([hidden])", "text=Is it any good?", ".score"):
        assert page.locator(seen).bounding_box()["y"] < SIZES[1][1] / 2
    assert page.locator("text=Curves").bounding_box()["y"] > SIZES[1][1]


def test_the_drawings_of_a_row_of_charts_are_at_one_height(visit):
    drawings = visit("one").locator(".chart > svg").all()
    tops = [drawing.bounding_box()["y"] for drawing in drawings]
    assert len(set(tops)) < len(tops)
    columns = tops.count(tops[0])
    assert columns > 1
    assert all(tops.count(top) == columns for top in tops[: len(tops) // columns * columns])


def test_it_is_dark_where_people_want_it_dark(visit):
    page = visit("three")
    colors = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colors.append(
            page.evaluate(
                "[getComputedStyle(document.body), getComputedStyle(document.querySelector('td'))]"
                ".map((style, i) => i ? style.color : style.backgroundColor)"
            )
        )
    (paper, ink), (dark_paper, light_ink) = colors
    assert (paper, ink) == ("rgb(255, 255, 255)", "rgb(34, 34, 34)")
    assert (dark_paper, light_ink) == ("rgb(26, 26, 26)", "rgb(230, 230, 230)")


def test_names_of_classes_stand_beside_their_rows(visit):
    page = visit("named")
    sheet = page.locator(".sheet img:not([hidden])").bounding_box()
    names = page.locator(".sheet .rows li").all()
    assert len(names) == 10
    for i, name in enumerate(names):
        box = name.bounding_box()
        middle = box["y"] + box["height"] / 2 - sheet["y"]
        assert abs(middle - (i + 0.5) * sheet["height"] / 10) < 2
        assert box["x"] + box["width"] < sheet["x"]


def test_the_slider_moves_through_training(visit):
    page = visit("one")
    slider, output = page.locator("input[type=range]"), page.locator(".slides output")
    sheets = page.locator(".sheet img")

    def shown():
        (visible,) = [sheet for sheet in sheets.all() if sheet.is_visible()]
        assert visible.get_attribute("data-iteration") == output.inner_text()
        assert slider.get_attribute("aria-valuetext") == output.inner_text()
        return output.inner_text()

    assert sheets.count() == 4
    assert shown() == "40"
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert shown() == "30"
    page.keyboard.press("Home")
    assert shown() == "10"
    page.keyboard.press("ArrowLeft")
    assert shown() == "10"
    slider.fill("1")
    assert shown() == "20"


def test_each_run_has_a_slider_of_its_own(visit):
    page = visit("three")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.locator("input[type=range]").nth(1).fill("0")
    assert page.locator(".slides output").all_inner_texts() == ["40", "10", "40"]


def test_a_link_opens_its_run(visit):
    page = visit("three")
    runs = page.locator("details.run")
    assert runs.evaluate_all("all => all.map(d => d.open)") == [False] * 3
    page.locator("a[href='#run-2']").click()
    page.wait_for_function("document.querySelectorAll('details.run')[1].open")
    assert runs.evaluate_all("all => all.map(d => d.open)") == [False, True, False]
