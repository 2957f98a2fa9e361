"""The page as people meet it, in headless Chromium: photos in, labels out, the slider, a phone, light and dark."""

import threading

import pytest
import uvicorn

from mlob.serving import application, server

pytestmark = pytest.mark.slow
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def address(labeller):
    """The address of a server that runs in a thread."""
    listener = server.listening("127.0.0.1", 0)
    app = application.create(labeller, "colours", application.Limits(bytes=200_000))
    running = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="error"))
    thread = threading.Thread(target=running.run, args=([listener],))
    thread.start()
    yield server.address(listener)
    running.should_exit = True
    thread.join(30)


@pytest.fixture
def opened(chromium, address):
    """Open the page; it says nothing on the console, and fetches from the server alone, whatever the test does."""
    contexts, said, fetched = [], [], []

    def open_page(viewport=DESKTOP, **options):
        contexts.append(chromium.new_context(viewport=viewport, **options))
        shown = contexts[-1].new_page()
        shown.on("console", lambda message: said.append(message.text))
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.on("request", lambda request: fetched.append(request.url))
        shown.goto(address)
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in fetched if not url.startswith((f"{address}/", "blob:"))] == []


def choose(shown, **photos):
    """Choose files: choose(shown, name=bytes, …)."""
    files = [{"name": f"{name}.png", "mimeType": "image/png", "buffer": data} for name, data in photos.items()]
    shown.locator("#files").set_input_files(files)


def given(shown, name):
    """Give the labels that a photo's card shows as given, in their order."""
    card = shown.locator(f".card:has(h3:text-is('{name}.png'))")
    card.locator(".row").first.wait_for()
    return card.locator(".row.given > span:first-child").all_inner_texts()


def slide(shown, value):
    shown.locator("#threshold").evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value
    )


def test_each_photo_has_its_own_labels_by_group_with_their_probabilities(opened, painted):
    shown = opened()
    assert not shown.get_by_text("This page needs JavaScript").is_visible()
    choose(shown, one=painted(250), two=painted(20, 240))
    assert given(shown, "one") == ["red", "short"] and given(shown, "two") == ["blue", "short"]
    card = shown.locator(".card", has_text="one.png")
    assert card.locator("h4").all_inner_texts() == ["colour", "length"]
    assert card.locator(".row.given").first.inner_text().split() == ["red", "98%"]
    assert card.locator("img").evaluate("image => image.naturalWidth") == 96
    assert shown.locator(".card h3").all_inner_texts() == ["one.png", "two.png"]


def test_the_slider_moves_every_threshold_and_a_button_moves_it_back(opened, painted):
    shown = opened()
    choose(shown, one=painted(130, 90))
    assert given(shown, "one") == ["red", "short"]
    assert shown.locator("#meaning").inner_text() == "as the ensemble decides"
    slide(shown, 1)
    assert shown.locator("#meaning").inner_text() == "each threshold times 0.50"
    assert given(shown, "one") == ["red", "blue", "short", "long"]
    slide(shown, -0.5)
    assert given(shown, "one") == ["short"]
    slide(shown, -2)
    assert given(shown, "one") == [] and shown.get_by_text("No label reaches its threshold.").is_visible()
    shown.get_by_role("button", name="As decided").click()
    assert given(shown, "one") == ["red", "short"]


def test_what_cannot_be_read_or_is_too_large_says_so_and_the_next_photo_is_labelled(opened, painted):
    shown = opened()
    choose(shown, bad=b"no photo", large=bytes(300_000), good=painted(250))
    assert given(shown, "good") == ["red", "short"]
    states = [shown.locator(f".card:has-text('{name}.png') .state").first for name in ("bad", "large")]
    assert [state.inner_text() for state in states] == ["Not read: not an image", "Not read: too many bytes"]


def test_dropped_photos_are_labelled_and_all_can_be_removed(opened, painted):
    shown = opened()
    transfer = shown.evaluate_handle(
        """bytes => { const made = new DataTransfer();
             made.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"})); return made; }""",
        list(painted(250)),
    )
    shown.locator("#drop").dispatch_event("drop", {"dataTransfer": transfer})
    assert given(shown, "dropped") == ["red", "short"]
    shown.get_by_role("button", name="Remove all").click()
    assert shown.locator(".card").count() == 0 and not shown.locator("#tools").is_visible()


def test_names_are_shown_as_they_are_and_never_run(opened, painted):
    shown = opened()
    choose(shown, **{"<img src=x onerror=alert(1)>": painted(250)})
    shown.locator(".row").first.wait_for()
    assert shown.locator(".card h3").inner_text() == "<img src=x onerror=alert(1)>.png"


def test_the_keyboard_alone_reaches_the_choice_of_photos_and_its_focus_is_seen(opened):
    shown = opened()
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.id") == "files"
    assert shown.locator(".choose").evaluate("label => getComputedStyle(label).outlineStyle") == "solid"


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE, {"width": 320, "height": 568}], ids=["desktop", "phone", "small"])
@pytest.mark.parametrize("path", ["", "/docs"])
def test_no_page_is_wider_than_the_screen(opened, painted, address, viewport, path):
    shown = opened(viewport)
    shown.goto(f"{address}{path}")
    if not path:
        choose(shown, **{"a name that is long " * 9: painted(250)})
        shown.locator(".row").first.wait_for()
        shown.locator("summary").evaluate_all("all => all.forEach((each) => each.click())")
    assert shown.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_on_a_phone_the_tools_take_two_lines(opened, painted):
    shown = opened(PHONE)
    choose(shown, one=painted(250))
    assert given(shown, "one") == ["red", "short"]
    assert shown.locator("#tools").evaluate("tools => tools.offsetHeight") < 110


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_those_of_the_machine(opened, scheme):
    shown = opened(color_scheme=scheme)
    paper = shown.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    brightness = sum(int(part) for part in paper.removeprefix("rgb(").removesuffix(")").split(","))
    assert (brightness > 384) == (scheme == "light")


def test_without_scripts_the_page_says_where_the_endpoint_is(opened):
    shown = opened(java_script_enabled=False)
    assert shown.get_by_text("This page needs JavaScript").is_visible()
