"""The page as people meet it, in headless Chromium from file://: sorting, finding, keyboard, phone, light and dark."""

import pytest

pytestmark = pytest.mark.slow
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture
def opened(chromium, written, fashion):
    """Open the page; it must say nothing on the console and fetch nothing, whatever the test does with it."""
    written(labels=fashion)
    contexts, said, fetched = [], [], []

    def open_page(viewport=DESKTOP, **options):
        contexts.append(chromium.new_context(viewport=viewport, **options))
        shown = contexts[-1].new_page()
        shown.on("console", lambda message: said.append(message.text))
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.on("request", lambda request: fetched.append(request.url))
        shown.goto(written.path.as_uri())
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in fetched if not url.startswith("data:")] == [written.path.as_uri()] * len(contexts)


def column(shown, table, number):
    return shown.locator(f"#{table} > tr:visible > :nth-child({number})").all_inner_texts()


def first_lines(cells):
    return [cell.strip().partition("\n")[0] for cell in cells]


def test_a_click_sorts_numbers_from_the_largest_and_the_next_turns_them_round(opened):
    shown = opened()
    header = shown.locator("table:has(#methods) th", has_text="Micro-F1")
    for order, sign in (("descending", -1), ("ascending", 1)):
        header.get_by_role("button").click()
        values = [float(cell) for cell in first_lines(column(shown, "methods", 2))]
        assert values == sorted(values, key=lambda value: sign * value) and len(set(values)) > 10
        assert header.get_attribute("aria-sort") == order
    assert shown.locator("table:has(#methods) th:not([aria-sort=none])[aria-sort]").count() == 1


def test_text_sorts_from_a_and_what_is_missing_comes_last_among_the_largest_first(opened):
    shown = opened()
    shown.locator("table:has(#by-prevalence) th", has_text="Label").get_by_role("button").click()
    assert column(shown, "by-prevalence", 1) == ["<b>Tom & Co</b>", "Dress"]
    shown.locator("table:has(#methods) th", has_text="Seconds").get_by_role("button").click()
    seconds = first_lines(column(shown, "methods", 6))
    assert seconds[0] and sorted(seconds, key=lambda text: not text) == seconds


def test_the_keyboard_alone_reaches_and_sorts_a_column_and_its_focus_is_seen(opened):
    shown = opened()
    button = shown.locator("table:has(#by-label) th", has_text="F1").get_by_role("button")
    shown.locator("#filter-by-label").focus()
    for _ in range(20):
        shown.keyboard.press("Tab")
        if button.evaluate("button => button === document.activeElement"):
            break
    assert button.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    shown.keyboard.press("Enter")
    assert button.evaluate("button => button === document.activeElement")
    assert first_lines(column(shown, "by-label", 1)) == ["Dress", "<b>Tom & Co</b>"]
    shown.keyboard.press("Space")
    assert first_lines(column(shown, "by-label", 1)) == ["<b>Tom & Co</b>", "Dress"]


@pytest.mark.parametrize("text", ["pso", "  PSO "])
def test_finding_leaves_the_rows_that_hold_the_text_and_says_how_many(opened, text):
    shown = opened()
    whole = shown.locator("#methods > tr").count()
    field = shown.get_by_label("Find a method").first
    field.fill(text)
    assert first_lines(column(shown, "methods", 1)) == [
        "ensemble 1 RANDOM",  # whose note names it
        "PSO 1 RANDOM",
        "MLoB: PSO paper",
    ]
    assert shown.locator("output").first.inner_text() == f"3 of {whole}"
    field.fill("")
    assert shown.locator("#methods > tr:visible").count() == whole


def test_twelve_photos_are_shown_of_those_found_and_all_on_demand(opened):
    shown = opened()
    cards = shown.locator("#cards > li:visible")
    assert cards.count() == 12
    shown.get_by_label("Find a label or photo").fill("tom")
    assert cards.count() == 2
    shown.get_by_label("Find a label or photo").fill("w1")
    assert cards.count() == 5
    shown.get_by_label("Find a label or photo").fill("")
    shown.get_by_label("Show all").check()
    assert cards.count() == 16


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE, {"width": 320, "height": 568}], ids=["desktop", "phone", "small"])
def test_the_page_is_never_wider_than_the_screen_and_what_is_scrolls_in_a_box_of_its_own(opened, viewport):
    shown = opened(viewport)
    shown.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    assert shown.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    boxes = shown.locator(".wide").all()
    assert boxes and all(box.get_attribute("tabindex") == "0" for box in boxes)
    if viewport is PHONE:
        assert shown.locator("div:has(> table > #methods)").evaluate("box => box.scrollWidth > box.clientWidth")


def test_figures_show_all_of_themselves_on_a_phone_in_letters_that_can_be_read(opened):
    shown = opened(PHONE)
    boxes = shown.locator("figure .wide").evaluate_all("all => all.map((box) => [box.scrollWidth, box.clientWidth])")
    assert len(boxes) > 8 and all(inside <= outside for inside, outside in boxes)
    letters = shown.locator("figure svg text").evaluate_all(
        """all => all.map((text) => { const svg = text.ownerSVGElement;
             const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
             return parseFloat(getComputedStyle(text).fontSize) * scale; })"""
    )
    assert min(letters) > 9


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper_in_light_and_in_dark(opened, scheme):
    shown = opened(color_scheme=scheme)
    paper, ink, soft, axis = (
        shown.locator(place).first.evaluate("(element, name) => getComputedStyle(element)[name]", name)
        for place, name in (("body", "backgroundColor"), ("body", "color"), (".soft", "color"), ("svg text", "fill"))
    )
    assert (luminance(paper) > 0.5) == (scheme == "light")
    assert contrast(ink, paper) > 7 and contrast(soft, paper) > 4.5 and contrast(axis, paper) > 7


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_counts_can_be_read_on_the_strongest_colour_of_a_heat_map(opened, scheme):
    shown = opened(color_scheme=scheme)
    for name in ("--heat", "--wrong"):
        shown.locator("body").evaluate("(body, name) => body.style.background = `var(${name})`", name)
        colours = shown.locator("body").evaluate(
            "body => [getComputedStyle(body).color, getComputedStyle(body).backgroundColor]"
        )
        assert contrast(*colours) > 4.5


def test_without_scripts_everything_is_there_to_read(opened):
    shown = opened(java_script_enabled=False)
    assert shown.locator("#methods > tr:visible").count() > 20 and shown.locator("#cards > li:visible").count() == 12


def luminance(colour):
    """Relative luminance of "rgb(r, g, b)", as WCAG 2 defines it."""
    shares = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Contrast of two colours, as WCAG 2 defines it: 1 to 21."""
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)
