"""The page: its parts, what is wired to what, and how it looks. Gradio is imported when it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from typing import Any

from reacgan.app import checks, markup
from reacgan.app.fonts import EMOJI, SIGNS, faces
from reacgan.app.handlers import Handlers, first_classes, for_people
from reacgan.app.sets import DataSets
from reacgan.app.studio import MAX_DIRECTIONS, Exhibit, Studio

WAITING = 100
"""Requests that may wait; a further one is refused with a word."""

_GENERATOR, _DATA_SETS = "generator", "data sets"

Handler = Callable[..., Any]


def build_page(sets: DataSets, device: str = "auto") -> Any:
    """The page as ``gradio.Blocks``.

    Args:
        sets: its models, and where data sets go: zips below gradio's own temporary folder.
        device: as the command lines name it.
    """
    import gradio as gr  # noqa: PLC0415 - optional, and slow to import

    studio, handlers = sets.studio, Handlers(sets, device)
    first = next(iter(studio.exhibits.values()))
    with gr.Blocks(title="reacgan", analytics_enabled=False, fill_width=True) as page:
        head = gr.HTML(_head(first), apply_default_css=False)
        with gr.Row(elem_classes="rg-model"):
            shared = _shared(gr, studio, first)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                with gr.Tab("Sheet"):
                    sheet = _sheet_tab(gr, first)
                with gr.Tab("Walk"):
                    walk = _walk_tab(gr, first)
                with gr.Tab("Data set"):
                    data_set = _data_set_tab(gr, first, sets)
            with gr.Column(scale=2, min_width=320, elem_id="rg-picture"):
                picture = _picture_column(gr, first)
        _wire_picture(gr, handlers, shared, sheet, picture)
        _wire_sheet(page, handlers, shared, sheet, picture)
        _wire(walk["go"].click, handlers.walk, [*shared, *walk["inputs"]], walk["html"], "walk")
        _wire_data_set(gr, handlers, [*shared, *data_set["inputs"], picture["picked"]], data_set)
        _wire_model(gr, studio, shared, head, (sheet, walk, data_set, picture))
    page.queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)
    return page


def look() -> dict[str, Any]:
    """Theme and style sheet, for whoever serves the page; fonts of the system come first."""
    import gradio as gr  # noqa: PLC0415

    fonts = [EMOJI, "system-ui", "Segoe UI", "Roboto", "Noto Sans", "sans-serif", SIGNS]
    mono = [EMOJI, "ui-monospace", "DejaVu Sans Mono", "monospace", SIGNS]
    theme = gr.themes.Default(font=fonts, font_mono=mono, primary_hue="orange").set(
        # Its own greys are too pale to read easily.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
    )
    style = files("reacgan.app").joinpath("page.css").read_text(encoding="utf-8")
    return {"theme": theme, "css": faces() + style}


def _head(exhibit: Exhibit) -> str:
    channels, height, width = exhibit.shape
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    model = exhibit.model
    facts = (
        f"{len(model.class_names):,} classes · {height} × {width} pixels, {kind} · "
        f"{model.images_seen:,} images seen in training"
    )
    if exhibit.training_images:
        facts += f", of a set of {exhibit.training_images:,}"
    return (
        f'<header class="rg-head"><h1>{markup.text(exhibit.name)}</h1>'
        f"<p>{markup.text(facts)}</p></header>"
    )


def _shared(gr: Any, studio: Studio, first: Exhibit) -> list[Any]:
    names = list(studio.exhibits)
    return [
        gr.Dropdown(
            names,
            value=first.name,
            label="Model",
            interactive=True,
            visible=len(names) > 1,
            min_width=240,
        ),
        gr.Slider(
            0,
            3,
            value=0,
            step=0.05,
            label="Truncation",
            info="Largest value of the latent: less is more typical and less varied. 0: no limit.",
            min_width=240,
        ),
        gr.Slider(
            0,
            1,
            value=1,
            step=0.05,
            label="Psi",
            info="Moves styles to their mean: 0 is the mean, 1 no change.",
            visible=first.has_styles,
            min_width=240,
        ),
    ]


def _classes(gr: Any, first: Exhibit, value: Any, **options: Any) -> Any:
    return gr.Dropdown(
        list(first.class_names), value=value, filterable=True, interactive=True, **options
    )


def _number(gr: Any, label: str, value: int, limits: tuple[int, int], **options: Any) -> Any:
    low, high = limits
    return gr.Number(
        value, label=label, precision=0, minimum=low, maximum=high, min_width=110, **options
    )


def _seed(gr: Any, label: str, value: int = 0, **options: Any) -> Any:
    return _number(gr, label, value, (0, checks.MAX_SEED), **options)


def _sheet_tab(gr: Any, first: Exhibit) -> dict[str, Any]:
    classes = _classes(
        gr,
        first,
        first_classes(first),
        multiselect=True,
        label="Classes",
        info="Type to search; none chosen: evenly spaced ones.",
    )
    with gr.Row():
        info = f"1 to {checks.MAX_COLUMNS}; {checks.MAX_SHEET} on a sheet"
        count = _number(gr, "Images a class", 8, (1, checks.MAX_COLUMNS), info=info)
        seed = _seed(gr, "First seed", info="0 to 4,294,967,295")
    with gr.Row():
        go = gr.Button("Generate", variant="primary", min_width=110, elem_id="rg-generate")
        other = gr.Button("Next seeds", min_width=110)
    html = _pictures(gr)
    return {
        "inputs": [classes, count, seed],
        "classes": [classes],
        "go": go,
        "other": other,
        "html": html,
        "recipes": gr.State(None),
    }


def _walk_tab(gr: Any, first: Exhibit) -> dict[str, Any]:
    names = first.class_names
    with gr.Row():
        start = _classes(gr, first, names[0], label="From class", min_width=260)
        end = _classes(gr, first, names[min(1, len(names) - 1)], label="To class", min_width=260)
    with gr.Row():
        seeds = [_seed(gr, "From seed", 0), _seed(gr, "To seed", 1)]
        steps = gr.Slider(
            2, checks.MAX_STEPS, value=12, step=1, label="Steps", interactive=True, min_width=150
        )
    go = gr.Button("Walk", variant="primary")
    html = _pictures(gr)
    return {"inputs": [start, end, *seeds, steps], "classes": [start, end], "go": go, "html": html}


def _data_set_tab(gr: Any, first: Exhibit, sets: DataSets) -> dict[str, Any]:
    classes = _classes(
        gr, first, [], multiselect=True, label="Classes", info="None chosen: all of them."
    )
    with gr.Row():
        info = f"{checks.MAX_SET:,} in all"
        count = _number(gr, "Images a class", 100, (1, checks.MAX_SET), info=info)
        seed = _seed(gr, "First seed", info="0 to 4,294,967,295")
        name = gr.Textbox(
            "generated",
            label="Name",
            info="Letters, digits, - and _",
            max_length=64,
            min_width=150,
        )
    kind = gr.Radio(
        sets.kinds,
        value=sets.kinds[0],
        label="Form",
        info=f"All but the zip are written in {sets.out}.",
        visible=len(sets.kinds) > 1,
    )
    moved = gr.Checkbox(
        False,
        label="Move as the picked picture",
        info="Each seed goes where “more like this” and the directions took that picture.",
    )
    with gr.Row():
        go = gr.Button("Make data set", variant="primary", min_width=110)
        cancel = gr.Button("Cancel", variant="stop", min_width=110)
    html = _pictures(gr)
    file = gr.File(label="Data set", interactive=False, visible=False)
    return {
        "inputs": [classes, count, seed, name, kind, moved],
        "classes": [classes],
        "go": go,
        "cancel": cancel,
        "html": html,
        "file": file,
    }


def _picture_column(gr: Any, first: Exhibit) -> dict[str, Any]:
    html = _pictures(gr, _EMPTY)
    with gr.Accordion("Move along directions", open=False, visible=first.directions > 0) as moves:
        sliders = [
            gr.Slider(
                -5,
                5,
                value=0,
                step=0.25,
                label=f"Direction {number}",
                visible=number <= first.directions,
                interactive=True,
            )
            for number in range(1, MAX_DIRECTIONS + 1)
        ]
        reset = gr.Button("Back to 0")
    share = gr.Slider(
        0.05,
        checks.MAX_SHARE,
        value=0.25,
        step=0.05,
        label="How far from this one",
        info="Of the way to other seeds.",
    )
    with gr.Row(equal_height=True):
        alike = gr.Button("More like this", min_width=130)
        near = gr.Button("Nearest training images", min_width=130)
    return {
        "html": html,
        "moves": moves,
        "sliders": sliders,
        "reset": reset,
        "share": share,
        "alike": alike,
        "near": near,
        "below": _pictures(gr),
        "recipes": gr.State(None),
        "picked": gr.State(None),
    }


def _wire(
    event: Handler, handler: Handler, inputs: Any, outputs: Any, name: str | None, **options: Any
) -> Any:
    """Values arrive as they are sent: the handler checks them."""
    return event(
        for_people(handler),
        inputs,
        outputs,
        api_name=name,
        api_visibility="private" if name is None else "public",
        preprocess=False,
        **{"concurrency_id": _GENERATOR, "concurrency_limit": 1, **options},
    )


def _shown(picture: dict[str, Any]) -> list[Any]:
    return [picture["html"], picture["picked"], *picture["sliders"]]


def _wire_sheet(
    page: Any,
    handlers: Handlers,
    shared: Sequence[Any],
    sheet: dict[str, Any],
    picture: dict[str, Any],
) -> None:
    inputs = [*shared, *sheet["inputs"]]
    outputs = [sheet["html"], sheet["recipes"], *_shown(picture)]
    _wire(page.load, handlers.sheet, inputs, outputs, None)
    _wire(sheet["go"].click, handlers.sheet, inputs, outputs, "sheet", trigger_mode="always_last")
    seed, count = sheet["inputs"][2], sheet["inputs"][1]
    further = sheet["other"].click(
        None,
        [seed, count],
        seed,
        js="(seed, count) => (seed ?? 0) + Math.max(1, count ?? 1)",
        api_visibility="private",
    )
    _wire(further.then, handlers.sheet, inputs, outputs, None)
    for field in sheet["inputs"][1:]:
        _wire(field.submit, handlers.sheet, inputs, outputs, None)


def _wire_picture(
    gr: Any,
    handlers: Handlers,
    shared: Sequence[Any],
    sheet: dict[str, Any],
    picture: dict[str, Any],
) -> None:
    def pick(recipes: Any, event: Any) -> Any:
        return handlers.pick(recipes, event._data.get("index") if event._data else None)

    pick.__annotations__ = {"event": gr.EventData}  # by which gradio knows what to give
    shown = _shown(picture)
    for source in (sheet, {"html": picture["below"], "recipes": picture["recipes"]}):
        picked = _wire(source["html"].pick, pick, source["recipes"], shown, None)
        picked.then(None, js=_TO_PICTURE, api_visibility="private")
    picked, share = picture["picked"], picture["share"]
    alike = [picture["below"], picture["recipes"]]
    _wire(picture["alike"].click, handlers.alike, [picked, share], alike, "like")
    _wire(picture["near"].click, handlers.near, picked, picture["below"], "near")
    moved = [picture["html"], picked]
    sliders = picture["sliders"]
    for slider in sliders:
        _wire(
            slider.input,
            handlers.move,
            [picked, *sliders],
            moved,
            None,
            trigger_mode="always_last",
            show_progress="minimal",
        )
    zeros = picture["reset"].click(
        None, None, sliders, js=f"() => Array({MAX_DIRECTIONS}).fill(0)", api_visibility="private"
    )
    _wire(zeros.then, handlers.move, [picked, *sliders], moved, "move")


def _wire_data_set(
    gr: Any, handlers: Handlers, inputs: Sequence[Any], data_set: dict[str, Any]
) -> None:
    outputs = [data_set["html"], data_set["file"]]

    def shown(words: str, path: str | None) -> Any:
        return words, gr.update(value=path, visible=path is not None)

    def make(request: Any, *values: Any) -> Iterator[Any]:
        for outcome in handlers.data_set(request.session_hash, *values):
            yield shown(*outcome)

    def cancel(request: Any) -> Any:
        return shown(*for_people(handlers.cancel)(request.session_hash))

    for handler in (make, cancel):
        handler.__annotations__ = {"request": gr.Request}  # by which gradio knows what to give
    made = data_set["go"].click(
        make,
        inputs,
        outputs,
        api_name="data_set",
        preprocess=False,
        concurrency_id=_DATA_SETS,
        concurrency_limit=1,
        show_progress_on=data_set["html"],
        trigger_mode="multiple",  # a press just after a cancelled one would be lost
    )
    cancelled = data_set["cancel"].click(
        None, cancels=[made], queue=False, api_visibility="private"
    )
    cancelled.then(cancel, None, outputs, concurrency_limit=None, api_visibility="private")


def _wire_model(
    gr: Any, studio: Studio, shared: Sequence[Any], head: Any, parts: Sequence[dict[str, Any]]
) -> None:
    """Another model has other classes, and maybe styles and directions."""
    sheet, walk, data_set, picture = parts
    outputs = [
        head,
        shared[2],
        *sheet["classes"],
        *walk["classes"],
        *data_set["classes"],
        picture["moves"],
        *picture["sliders"],
    ]

    def change(name: object) -> list[Any]:
        exhibit = studio.exhibit(name)
        names = list(exhibit.class_names)
        return [
            _head(exhibit),
            gr.update(visible=exhibit.has_styles),
            gr.update(choices=names, value=first_classes(exhibit)),
            gr.update(choices=names, value=names[0]),
            gr.update(choices=names, value=names[min(1, len(names) - 1)]),
            gr.update(choices=names, value=[]),
            gr.update(visible=exhibit.directions > 0),
            *(
                gr.update(value=0, visible=number <= exhibit.directions)
                for number in range(1, MAX_DIRECTIONS + 1)
            ),
        ]

    at_once: dict[str, Any] = {"concurrency_id": None, "concurrency_limit": None}
    changed = _wire(shared[0].change, change, shared[0], outputs, None, **at_once)
    changed.then(
        None, js="() => document.querySelector('#rg-generate')?.click()", api_visibility="private"
    )


_EMPTY = markup.note("Pick a picture of the sheet: it is shown here.")

_TO_PICTURE = """() => {
  if (window.innerWidth < 760)
    document.getElementById('rg-picture')?.scrollIntoView({behavior: 'smooth'});
}"""


def _pictures(gr: Any, value: str | None = None) -> Any:
    """A part that shows pictures, with its keys."""
    script = files("reacgan.app").joinpath("page.js").read_text(encoding="utf-8")
    return gr.HTML(value, js_on_load=script, apply_default_css=False, elem_classes="rg-out")
