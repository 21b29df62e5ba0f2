"""Models of one second, a page that is served, and the system's Chromium."""

from __future__ import annotations

import shutil
import signal
import warnings
from urllib.parse import urlsplit

import pytest
import torch
from page_server import Served

from reacgan import experiment, save
from reacgan.models import build_generator
from reacgan.models.trained import TrainedGenerator

NASTY = (
    "<img src=x onerror=window.hacked=1>",
    "日本語",
    "🐱 cat",
    "a,b",
    "{{constructor}}",
    "${1+1}",
    "-x",
    "all",
    "~root",
    "two\nlines",
    "x" * 200,
    "00",
)
STYLES = {
    "name": "stylegan2",
    "channel_base": 64,
    "channel_max": 8,
    "latent_dim": 8,
    "style_dim": 8,
    "mapping_layers": 2,
}


def small_model(folder, class_names, generator, **data):
    """A generator of random weights, saved."""
    settings = {"data.resolution": 16, "data.channels": 3, "model.generator": generator}
    plan = experiment("digits/reacgan").replace(
        **settings, **{f"data.{name}": value for name, value in data.items()}
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_generator(plan.model.generator, plan.data, len(class_names))
    network.eval().requires_grad_(False)
    return save(TrainedGenerator(network, plan, class_names, 0), folder)


@pytest.fixture(scope="session")
def nasty(tmp_path_factory):
    """Class names that mean something in HTML, templates, shells and on the command line."""
    folder = tmp_path_factory.mktemp("app") / "nasty"
    return small_model(folder, NASTY, {"name": "biggan", "width": 4})


@pytest.fixture(scope="session")
def styles(tmp_path_factory):
    """A generator with styles, whose training images are at no place of this machine."""
    folder = tmp_path_factory.mktemp("app") / "styles"
    return small_model(folder, ("cat", "dog"), STYLES, name="cifar10")


@pytest.fixture(scope="session")
def studio(nasty, styles):
    """The three models of the page, opened once."""
    pytest.importorskip("gradio")
    from reacgan.app.studio import open_studio

    return open_studio(["digits-reacgan", nasty, styles], "cpu")


@pytest.fixture
def handlers(studio, tmp_path):
    """What the page calls, with folders of its own."""
    from reacgan.app.handlers import Handlers
    from reacgan.app.sets import DataSets

    with DataSets(studio, tmp_path / "scratch", tmp_path / "out") as sets:
        yield Handlers(sets, "auto")


@pytest.fixture(scope="session")
def served(tmp_path_factory, nasty, styles):
    """Digits, awkward class names, and styles on one page."""
    folder = tmp_path_factory.mktemp("served")
    out = folder / "sets"
    page = Served(["digits-reacgan", nasty, styles, "--port", 0, "--out", out], folder)
    page.out = out
    yield page
    begin_set(page, "unfinished")
    code, errors = page.end(signal.SIGINT)
    assert not (out / "unfinished").exists(), "half a data set is left"
    assert code == 0 and errors.endswith("ended\n") and "Interrupt" not in errors, errors
    assert list(folder.glob("reacgan-app-*")) == [], "files are left"
    assert page.asked.read_text() == "", "the server asked other machines"


def begin_set(page, name: str) -> None:
    """Asks for a large data set, and returns once some of it is there."""
    httpx = pytest.importorskip("httpx")
    parts = httpx.get(f"{page.address}/config").json()["dependencies"]
    call = next(part["id"] for part in parts if part["api_name"] == "data_set")
    data = ["digits-reacgan", 0, 1, [], 5000, 0, name, "folder", False, None]
    body = {"data": data, "fn_index": call, "session_hash": name}
    queue = f"{page.address}/gradio_api/queue"
    assert httpx.post(f"{queue}/join", json=body).status_code == 200
    with httpx.stream("GET", f"{queue}/data", params={"session_hash": name}, timeout=60) as lines:
        heard = lines.iter_lines()
        while not list((page.out / name).glob("*/*.png")):
            assert "process_completed" not in next(heard)


def chromium_path() -> str:
    """The system's Chromium; without one the test is skipped, and a warning says what to do."""
    path = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
    )
    if not path:
        words = "the page was NOT tested: no Chromium here; apt-get install chromium"
        warnings.warn(words, stacklevel=2)
        pytest.skip(words)
    return path


@pytest.fixture(scope="session")
def browser():
    path = chromium_path()
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser, served):
    """Opens the page; a request to another host, or an error of a script, fails the test."""
    contexts, problems = [], []

    def watch(request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and f"http://{parts.netloc}" != served.address:
            problems.append(f"asked {request.url}")

    def open_one(width: int = 1280, height: int = 900):
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        context.on("request", watch)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
        page.goto(served.address)
        page.wait_for_selector("button.rg-cell")
        page.wait_for_selector("#rg-picture figcaption")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert problems == []
