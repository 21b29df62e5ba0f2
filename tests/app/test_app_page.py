"""The page in a browser: every control, wide and narrow, by keyboard alone, and with others waiting."""

from __future__ import annotations

import io
import json
import shlex
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api")


def pixels(content) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content) if isinstance(content, bytes) else content))


def saved(page, words: str) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.get_by_role("link", name=words).click()
    return waiting.value.suggested_filename, waiting.value.path().read_bytes()


def words_of(page) -> str:
    return page.locator("#rg-picture figcaption strong").inner_text()


def choose_model(page, name: str) -> None:
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name=name).click()
    page.wait_for_selector(f".rg-note:has-text('{name}:')")


def nudge(page, number: int, key: str, words: str) -> None:
    """Moves a slider by its keys; again where the picture before was just arriving and set it back."""
    slider = page.get_by_role("slider", name=f"Direction {number}")
    for _ in range(4):
        slider.focus()
        page.keyboard.press(key)
        try:
            page.wait_for_selector(f"#rg-picture strong:has-text('{words}')", timeout=5000)
        except sync_api.TimeoutError:
            continue
        return
    raise AssertionError(f"{words} never comes")


def use_every_control(page, served, reacgan, folder) -> None:
    """Presses everything, and runs the command lines that the page gives."""
    alts = page.locator(".rg-cell img").evaluate_all("all => all.map(image => image.alt)")
    assert len(alts) == 80 and alts[27] == "class 3, seed 3"
    page.locator(".rg-cell").nth(27).click()
    page.wait_for_selector("#rg-picture strong:has-text('class 3, seed 3')")
    page.get_by_role("button", name="Next seeds").click()
    page.wait_for_selector(".rg-note:has-text('seeds 8 to 15')")
    assert page.get_by_label("First seed").first.input_value() == "8"
    page.get_by_label("Truncation").first.fill("0.8")
    page.get_by_label("Images a class").first.fill("3")
    page.get_by_label("Images a class").first.press("Enter")
    page.wait_for_selector(".rg-note:has-text('seeds 8 to 10')")
    page.locator(".rg-cell").nth(4).click()
    page.wait_for_selector("#rg-picture strong:has-text('class 1, seed 9')")

    page.get_by_label("How far from this one").first.fill("0.4")
    page.get_by_role("button", name="More like this").click()
    page.wait_for_selector("#rg-picture .rg-cell")
    page.locator("#rg-picture .rg-cell").nth(1).click()
    page.wait_for_selector("#rg-picture strong:has-text('40% to seed 11')")
    page.get_by_role("button", name="Move along directions").click()
    nudge(page, 2, "ArrowRight", "direction 2 +")
    page.get_by_role("button", name="Back to 0").click()
    page.wait_for_function(
        "!document.querySelector('#rg-picture strong').textContent.includes('direction')"
    )
    nudge(page, 1, "ArrowLeft", "direction 1 -")
    page.get_by_role("button", name="Nearest training images").click()
    page.wait_for_selector("#rg-picture img[alt^='training image of 1, distance']")

    name, picture = saved(page, "Save picture")
    assert name == "digits-reacgan-1-9.png"
    facts = json.loads(saved(page, "Save settings")[1])
    assert (facts["class"], facts["seed"], facts["truncation"]) == ("1", 9, 0.8)
    assert facts["toward"] == [[11, 0.4]] and facts["along"][0][0] == 1
    page.locator("#rg-picture .rg-copy").click()
    page.wait_for_selector("#rg-picture .rg-copied:has-text('copied')")
    line = page.evaluate("navigator.clipboard.readText()")
    assert line == facts["command"]
    code, _, errors = reacgan(*shlex.split(line)[1:])
    assert not code, errors
    assert (pixels(picture) == pixels(folder / "images/1/9.png")).all()
    assert saved(page, "Save sheet")[0] == "digits-reacgan-sheet-8.png"


def use_walk(page) -> None:
    page.get_by_role("tab", name="Walk").click()
    page.get_by_label("To seed", exact=True).fill("4")
    page.get_by_label("Steps").first.fill("5")
    page.get_by_role("button", name="Walk", exact=True).click()
    page.wait_for_selector("img[alt='step 5 of 5 from class 0, seed 0 to class 1, seed 4']")
    gif = Image.open(io.BytesIO(saved(page, "Save GIF")[1]))
    assert gif.n_frames == 8  # there and back
    assert saved(page, "Save strip")[0] == "digits-reacgan-walk-0-4.png"


def use_data_set(page, reacgan, folder) -> None:
    page.get_by_role("tab", name="Data set").click()
    count = page.get_by_label("Images a class").last
    count.fill("5000")
    page.get_by_role("button", name="Make data set").click()
    page.wait_for_selector("progress")
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_selector("text=Cancelled; nothing was kept.")
    count.fill("3")
    page.get_by_label("Name").fill("mine")
    page.get_by_role("button", name="Make data set").click()
    page.wait_for_selector("text=30 images of 10 classes: save mine.zip below")
    with page.expect_download() as waiting:
        page.locator("a[download='mine.zip']").first.click()
    with zipfile.ZipFile(waiting.value.path()) as archive:
        assert len([name for name in archive.namelist() if name.endswith(".png")]) == 30
        assert {"labels.csv", "manifest.json"} < set(archive.namelist())
        content = Path(waiting.value.path()).read_bytes()
    page.locator("[role=tabpanel] .rg-copy:visible").last.click()
    page.wait_for_selector("[role=tabpanel] .rg-copied:visible:has-text('copied')")
    line = page.evaluate("navigator.clipboard.readText()")
    assert line.startswith("reacgan generate digits-reacgan --num 3 --seed 0")
    code, _, errors = reacgan(*shlex.split(line)[1:])
    assert not code, errors
    assert (folder / "mine.zip").read_bytes() == content


def use_folders(page, served) -> None:
    page.get_by_role("radio", name="folder").check()
    page.get_by_label("Move as the picked picture").check()
    page.get_by_label("Truncation").first.fill("0.8")
    page.get_by_role("button", name="Make data set").click()
    page.wait_for_selector(f"text=30 images of 10 classes in {served.out / 'mine'}")
    assert (served.out / "mine/7/2.png").exists()
    manifest = json.loads((served.out / "mine/manifest.json").read_text())
    assert manifest["settings"]["moves"]["toward"] == [[11, 0.4]]
    page.get_by_role("button", name="Make data set").click()
    page.wait_for_selector("text=(30 of them made before)")
    page.get_by_label("Move as the picked picture").uncheck()
    page.get_by_role("button", name="Make data set").click()
    page.wait_for_selector("text=holds images that were made otherwise")


def test_every_control_on_a_wide_page(open_page, served, reacgan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = open_page()
    use_every_control(page, served, reacgan, tmp_path)
    use_walk(page)
    use_data_set(page, reacgan, tmp_path)
    use_folders(page, served)


def test_other_models_have_their_own_classes_and_psi(open_page):
    page = open_page()
    assert not page.get_by_label("Psi").first.is_visible()
    choose_model(page, "nasty")
    alts = page.locator(".rg-cell img").evaluate_all("all => all.map(image => image.alt)")
    for name in ("<img src=x onerror=window.hacked=1>", "{{constructor}}", "${1+1}", "日本語"):
        assert f"class {name}, seed 0" in alts
    choose_model(page, "styles")
    page.get_by_label("Psi").first.fill("0.5")
    page.get_by_role("button", name="Generate").click()
    page.wait_for_selector("#rg-picture figcaption:has-text('psi 0.5')")
    page.get_by_role("button", name="Nearest training images").click()
    page.wait_for_selector("text=the training images of styles are not here")
    assert page.evaluate("window.hacked") is None


def test_a_class_is_searched_by_name(open_page):
    page = open_page()
    choose_model(page, "nasty")
    page.get_by_role("tab", name="Walk").click()
    field = page.get_by_label("From class")
    field.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("日本")
    page.wait_for_function("document.querySelectorAll('[role=option]').length == 1")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Walk", exact=True).click()
    page.wait_for_selector("img[alt^='step 1 of 12 from class 日本語, seed 0']")


@pytest.mark.parametrize("width", [390, 3840])
def test_other_widths(open_page, width):
    page = open_page(width)
    choose_model(page, "styles")
    page.locator(".rg-cell").nth(3).click()
    page.wait_for_selector("#rg-picture strong:has-text('class cat, seed 3')")
    page.wait_for_function(
        "document.querySelector('#rg-picture').getBoundingClientRect().top < window.innerHeight"
    )
    for tab in ("Walk", "Data set", "Sheet"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        right = page.evaluate(
            """() => Math.max(...[...document.querySelectorAll('button, input, img, p, textarea')]
              .filter(part => part.offsetParent).map(part => part.getBoundingClientRect().right))"""
        )
        assert right <= width, "a part is cut off"


def tab_to(page, selector: str) -> None:
    """Presses Tab until the focus is there."""
    for _ in range(80):
        if page.evaluate("selector => document.activeElement?.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reaches {selector}")


def test_by_keyboard_alone(open_page):
    page = open_page()
    tab_to(page, "input[aria-label='First seed']")
    page.keyboard.press("Control+A")
    page.keyboard.type("5")
    tab_to(page, "#rg-generate")
    page.keyboard.press("Enter")
    page.wait_for_selector(".rg-note:has-text('seeds 5 to 12')")
    tab_to(page, ".rg-cell")
    for key, index in (("ArrowRight", 1), ("ArrowDown", 9), ("End", 79), ("ArrowLeft", 78)):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.dataset.index") == str(index)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector("#rg-picture strong:has-text('class 8, seed 11')")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "what has the focus is not shown"
    page.keyboard.press("Tab")  # one stop for the whole sheet
    assert page.evaluate("document.activeElement.matches('.rg-link')")
    tab_to(page, "#rg-picture .rg-link")
    with page.expect_download():
        page.keyboard.press("Enter")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('input, button, textarea, [role=slider], img')]
          .filter(part => part.offsetParent && !(part.ariaLabel || part.labels?.length ||
            part.textContent.trim() || part.alt || part.title ||
            part.querySelector('img[alt]')?.alt || part.getAttribute('aria-labelledby')))
          .map(part => part.outerHTML.slice(0, 200))"""
    )
    assert unnamed == []


def test_twenty_at_once_see_their_place(open_page, served):
    httpx = pytest.importorskip("httpx")
    parts = httpx.get(f"{served.address}/config").json()["dependencies"]
    sheet = next(part["id"] for part in parts if part["api_name"] == "sheet")
    messages = {user: [] for user in range(20)}

    def ask(user: int) -> None:
        session = f"user{user}"
        body = {"data": ["nasty", 0, 1, [], 16, user], "fn_index": sheet, "session_hash": session}
        with httpx.Client(base_url=f"{served.address}/gradio_api/queue", timeout=60) as client:
            assert client.post("/join", json=body).status_code == 200
            with client.stream("GET", "/data", params={"session_hash": session}) as lines:
                for line in lines.iter_lines():
                    if line.startswith("data:"):
                        messages[user].append(json.loads(line[5:]))
                    if messages[user] and messages[user][-1]["msg"] == "process_completed":
                        return

    page = open_page()
    page.evaluate(
        """() => { window.waits = []; new MutationObserver(() => {
          for (const part of document.querySelectorAll('[data-testid=status-tracker]'))
            if (part.textContent.includes('queue:')) window.waits.push(part.textContent);
        }).observe(document.body, {childList: true, subtree: true, characterData: true}); }"""
    )
    users = [threading.Thread(target=ask, args=(user,)) for user in messages]
    for user in users:
        user.start()
    while sum(map(bool, messages.values())) < 20:
        time.sleep(0.01)
    page.get_by_role("button", name="Generate").click()
    for user in users:
        user.join()
    for heard in messages.values():
        assert heard[0]["msg"] == "estimation" and heard[-1]["success"] is True
    ranks = [heard[0]["rank"] for heard in messages.values()]
    assert max(ranks) >= 10, ranks
    sizes = {len(heard[-1]["output"]["data"][0]) for heard in messages.values()}
    assert min(sizes) > 1000
    page.wait_for_function("window.waits.length > 0")
