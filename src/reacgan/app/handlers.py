"""What the page does when something is pressed: checks, calls the studio, gives HTML.

Arguments come from a browser, so they are of any type; results are values for the parts of the page.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from typing import Any

from torch import Tensor

from reacgan.app import checks, markup
from reacgan.app.commands import generate_command, sample_command, walk_command
from reacgan.app.markup import Shown
from reacgan.app.pixels import address, gif_of, png_of, small_addresses
from reacgan.app.sets import ZIP, DataSets, SetJob, SetOrder
from reacgan.app.studio import FIRST_CLASSES, MAX_DIRECTIONS, Exhibit, PictureRecipe
from reacgan.config import ConfigError
from reacgan.data import DataError
from reacgan.pictures.samples import spread
from reacgan.sampling import Moves, class_folders, seed_heads, share_heads
from reacgan.sampling import sheet as draw_sheet
from reacgan.sampling.grids import png_of as sheet_png
from reacgan.text import file_stem

ALIKE = 8
NEAREST = 8
_CANCELLED = "Cancelled; nothing was kept."
_REPORT_SECONDS = 0.5
_READ_SECONDS = 30

logger = logging.getLogger("reacgan.app")


def for_people(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler whose errors are shown on the page: what was refused and what is allowed."""

    @wraps(handler)
    def handled(*values: Any) -> Any:
        try:
            return handler(*values)
        except Exception as error:
            raise shown_error(error) from None

    return handled


def shown_error(error: Exception) -> Exception:
    """The error as the toolkit shows it; one that is ours is logged and not described."""
    import gradio as gr  # noqa: PLC0415 - optional, and slow to import

    if isinstance(error, ConfigError):
        words = markup.text(error)
        return gr.Error(words, duration=_READ_SECONDS, title="Not possible", print_exception=False)
    logger.error("an error of the page", exc_info=error)
    words = "An error of the program; where reacgan runs its message is shown."
    return gr.Error(words, title="Error", print_exception=False)


class Handlers:
    """One method a control."""

    def __init__(self, sets: DataSets, device: str) -> None:
        self.sets = sets
        self.studio = sets.studio
        self.device = device

    def sheet(
        self,
        model: object,
        truncation: object,
        psi: object,
        classes: object,
        count: object,
        seed: object,
    ) -> tuple[Any, ...]:
        """The sheet, its recipes, and the first of them as the picked picture."""
        exhibit = self.studio.exhibit(model)
        start = self._start(exhibit, truncation, psi, seed)
        columns = checks.whole("images a class", count, 1, checks.MAX_COLUMNS)
        labels = self._labels(exhibit, classes, checks.MAX_SHEET // columns)
        exhibit.affordable("images", len(labels) * columns)
        firsts = [replace(start, label=label) for label in labels]
        images = self.studio.sheet(firsts, columns)
        recipes = [
            replace(first, seed=first.seed + step) for first in firsts for step in range(columns)
        ]
        sources = iter(small_addresses(images.flatten(0, 1)))
        cells = iter([Shown(next(sources), self.words(recipe)) for recipe in recipes])
        rows = [
            (exhibit.class_names[label], [next(cells) for _ in range(columns)]) for label in labels
        ]
        names = [exhibit.model.class_names[label] for label in labels]
        heads = seed_heads(range(start.seed, start.seed + columns))
        png = sheet_png(draw_sheet(images, names, heads=heads))
        last = start.seed + columns - 1
        seeds = f"seed {start.seed}" if columns == 1 else f"seeds {start.seed} to {last}"
        html = markup.sheet(
            rows, self._side(exhibit), label=f"{len(recipes)} pictures of {exhibit.name}"
        )
        html += markup.note(f"{exhibit.name}: {len(labels)} classes, {seeds}, a column a seed")
        stem = f"{file_stem(exhibit.name)}-sheet-{start.seed}"
        html += markup.downloads([("Save sheet", f"{stem}.png", png, "image/png")])
        html += self._command(lambda: sample_command(exhibit, firsts, columns, device=self.device))
        return (html, recipes, *self._picked(recipes[0], images[0, 0]))

    def pick(self, recipes: object, index: object) -> tuple[Any, ...]:
        """The picture of a cell."""
        if not isinstance(recipes, list) or not recipes:
            raise ConfigError("there is no sheet yet; press Generate first")
        recipe = recipes[checks.whole("picture", index, 0, len(recipes) - 1)]
        return self._picked(recipe, self.studio.picture(recipe))

    def alike(self, picked: object, share: object) -> tuple[Any, ...]:
        """More like the picked picture, and their recipes."""
        recipe = self._recipe(picked)
        share = checks.number("how far", share, 0.01, checks.MAX_SHARE)
        recipes = self.studio.alike(recipe, share, ALIKE)
        images = self.studio.pictures(recipes)
        cells = [
            Shown(source, self.words(near))
            for source, near in zip(small_addresses(images), recipes, strict=True)
        ]
        exhibit = self.studio.exhibits[recipe.model]
        html = markup.sheet(
            [("", cells[:4]), ("", cells[4:])],
            self._side(exhibit),
            label=f"{len(cells)} pictures like {self.words(recipe)}",
        )
        return html + markup.note(f"{share:.0%} of the way to other seeds"), recipes

    def near(self, picked: object) -> str:
        """The nearest training images of the picked picture."""
        recipe = self._recipe(picked)
        try:
            near = self.studio.near(recipe, NEAREST)
        except DataError as error:  # stays on the page, where a message would go away
            return markup.note(str(error))
        sources = small_addresses([neighbour.image for neighbour in near])
        cells = [
            Shown(
                source,
                f"training image of {neighbour.class_name}, distance {neighbour.distance:.1f}",
                f"{neighbour.class_name} · {neighbour.distance:.1f}",
            )
            for source, neighbour in zip(sources, near, strict=True)
        ]
        side = self._side(self.studio.exhibits[recipe.model])
        label = f"training images nearest to {self.words(recipe)}"
        html = markup.sheet([("", cells[:4]), ("", cells[4:])], side, label=label, picks=False)
        return html + markup.note(
            "Nearest training images by pixels; the number is the root mean square difference "
            "(0 to 255). A copy would be near 0."
        )

    def move(self, picked: object, *amounts: object) -> tuple[Any, ...]:
        """The picked picture moved along the directions."""
        recipe = self._recipe(picked)
        exhibit = self.studio.exhibits[recipe.model]
        checked = [
            checks.number(f"direction {number}", amount, -checks.MAX_AMOUNT, checks.MAX_AMOUNT)
            for number, amount in enumerate(amounts[: exhibit.directions], 1)
        ]
        along = tuple((number, amount) for number, amount in enumerate(checked, 1) if amount)
        moved = replace(recipe, moves=replace(recipe.moves, along=along))
        return self._shown(moved, self.studio.picture(moved)), moved

    def walk(self, model: object, truncation: object, psi: object, *way: object) -> str:
        """A strip from one class and seed to another, and a GIF.

        ``way``: the two classes, the two seeds, and the number of steps.
        """
        first_class, last_class, first_seed, last_seed, steps = way
        exhibit = self.studio.exhibit(model)
        first = self._start(exhibit, truncation, psi, first_seed, "first seed")
        last = self._start(exhibit, truncation, psi, last_seed, "second seed")
        first = replace(first, label=self._labels(exhibit, first_class, 1)[0])
        last = replace(last, label=self._labels(exhibit, last_class, 1)[0])
        count = checks.whole("steps", steps, 2, checks.MAX_STEPS)
        images = self.studio.walk((first, last), exhibit.affordable("steps", count))
        course = f"from {self.words(first)} to {self.words(last)}"
        cells = [
            Shown(source, f"step {number} of {count} {course}")
            for number, source in enumerate(small_addresses(images), 1)
        ]
        side = self._side(exhibit)
        html = markup.sheet([("", cells)], side, label=f"{count} steps {course}", picks=False)
        gif = gif_of(images)
        html += markup.picture(Shown(address(gif, "image/gif"), f"animation {course}"), side)
        names = exhibit.model.class_names
        ends = [f"{names[recipe.label]}\nseed {recipe.seed}" for recipe in (first, last)]
        heads = share_heads(count)
        strip = sheet_png(draw_sheet(images[None], ends[:1], ends=ends[1:], heads=heads))
        stem = f"{file_stem(exhibit.name)}-walk-{first.seed}-{last.seed}"
        html += markup.downloads(
            [
                ("Save GIF", f"{stem}.gif", gif, "image/gif"),
                ("Save strip", f"{stem}.png", strip, "image/png"),
            ]
        )
        return html + self._command(
            lambda: walk_command(exhibit, (first, last), count, device=self.device)
        )

    def data_set(self, session: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Make a data set: progress, then its end; closed early it is stopped.

        ``values``: model, truncation, psi, classes, images of each, first seed, name, form, whether it
        moves as the picked picture, and that.
        """
        try:
            order = self._order(*values)
            job = self.sets.start(order, session)
            try:
                shown = 0
                yield markup.progress(shown, order.total, order.name), None
                while not job.ended(_REPORT_SECONDS):
                    if job.done > shown:
                        shown = job.done
                        yield markup.progress(shown, order.total, order.name), None
            finally:
                job.stop()
            outcome = self._outcome(job)
        except Exception as error:
            raise shown_error(error) from None
        yield outcome

    def cancel(self, session: str) -> tuple[str, str | None]:
        """Stop a person's data set; says what is left of it."""
        job = self.sets.stop(session)
        return self._outcome(job) if job else (markup.note(_CANCELLED), None)

    def _order(self, model: object, *values: object) -> SetOrder:
        truncation, psi, classes, count, seed, name, kind, moved, picked = values
        exhibit = self.studio.exhibit(model)
        first = self._start(exhibit, truncation, psi, seed)
        number = checks.whole("images a class", count, 1, checks.MAX_SET)
        checks.whole("the last seed", first.seed + number - 1, 0, checks.MAX_SEED)
        stem = checks.file_name("name", name)
        kind = checks.member("form", kind, self.sets.kinds)
        if checks.switch("move as the picked picture", moved):
            recipe = self._recipe(picked)
            if recipe.model != exhibit.name:
                raise ConfigError(
                    f"the picked picture is one of {recipe.model}; pick one of {exhibit.name}"
                )
            first = replace(first, moves=recipe.moves)
        labels = self._labels(exhibit, classes, None)
        return SetOrder(exhibit, first, labels, number, stem, "zip" if kind == ZIP else kind)

    def _outcome(self, job: SetJob) -> tuple[str, str | None]:
        """The end of a data set in words, and the file to save."""
        if not job.ended(0):
            return markup.note("Cancelled; it ends when what is made now is finished."), None
        made, order = job.result(), job.order
        if not made.complete:
            kept = f"{made.done:,} of {made.images:,} images, begun before, stay in {job.path}"
            return markup.note(f"Cancelled; {kept}." if made.done else _CANCELLED), None
        words = f"{made.images:,} images of {len(order.labels):,} classes"
        to_save = order.form == "zip"
        words += f": save {order.file} below" if to_save else f" in {job.path}"
        if made.resumed:
            words += f" ({made.resumed:,} of them made before)"
        html = markup.note(words)
        html += self._command(lambda: generate_command(order, device=self.device))
        return html, str(job.path) if to_save else None

    def words(self, recipe: PictureRecipe) -> str:
        """A picture in words: class, seed, and where it was moved."""
        name = self.studio.exhibits[recipe.model].class_names[recipe.label]
        parts = [f"class {name}", f"seed {recipe.seed}"]
        parts += [f"{share:.0%} to seed {seed}" for seed, share in recipe.moves.toward]
        parts += [f"direction {number} {amount:+g}" for number, amount in recipe.moves.along]
        return ", ".join(parts)

    def _picked(self, recipe: PictureRecipe, image: Tensor) -> tuple[Any, ...]:
        """The picture, its recipe, and its amounts for the sliders."""
        amounts = dict(recipe.moves.along)
        sliders = [amounts.get(number, 0.0) for number in range(1, MAX_DIRECTIONS + 1)]
        return (self._shown(recipe, image), recipe, *sliders)

    def _shown(self, recipe: PictureRecipe, image: Tensor) -> str:
        """A picture with what can be saved of it."""
        exhibit = self.studio.exhibits[recipe.model]
        png = png_of(image)
        cell = Shown(address(png, "image/png"), self.words(recipe))
        values = {"truncation": recipe.truncation, "psi": recipe.psi}
        about = [f"{name} {value:g}" for name, value in values.items() if value is not None]
        if image.shape[0] not in (1, 3, 4):
            about.append(f"{image.shape[0]} channels, of which a picture shows the first")
        html = markup.picture(cell, self._side(exhibit), about)
        folder = class_folders(exhibit.model.class_names)[recipe.label]
        stem = file_stem(f"{exhibit.name}-{folder}-{recipe.seed}")
        facts = self.studio.facts(recipe)
        try:
            line = sample_command(exhibit, [recipe], device=self.device)
            facts["command"], commanded = line, markup.command(line)
        except ConfigError as error:
            commanded = markup.note(str(error))
        html += markup.downloads(
            [
                ("Save picture", f"{stem}.png", png, "image/png"),
                ("Save settings", f"{stem}.json", markup.as_json(facts), "application/json"),
            ]
        )
        return html + commanded

    def _command(self, make: Callable[[], str]) -> str:
        try:
            return markup.command(make())
        except ConfigError as error:
            return markup.note(str(error))

    def _side(self, exhibit: Exhibit) -> int:
        return max(exhibit.shape[1:])

    def _recipe(self, picked: object) -> PictureRecipe:
        if not isinstance(picked, PictureRecipe):
            raise ConfigError("no picture is picked yet; press Generate, then pick one")
        return picked

    def _start(
        self, exhibit: Exhibit, truncation: object, psi: object, seed: object, name: str = "seed"
    ) -> PictureRecipe:
        """A recipe of the first class."""
        limit = checks.number("truncation", truncation, 0, checks.MAX_TRUNCATION)
        if 0 < limit < 0.05:
            raise ConfigError(f"truncation is {limit:g}; allowed: 0 (none), or 0.05 to 5")
        style = 1.0
        if exhibit.has_styles:
            style = checks.number("psi", psi, 0, 1)
        return PictureRecipe(
            exhibit.name,
            0,
            checks.whole(name, seed, 0, checks.MAX_SEED),
            limit or None,
            None if style == 1 else style,
            Moves(),
        )

    def _labels(self, exhibit: Exhibit, classes: object, most: int | None) -> list[int]:
        """Labels of the names that were chosen; of none, evenly spaced ones up to ``most``."""
        if classes is None or classes == []:
            return sorted(set(spread(len(exhibit.class_names), most or len(exhibit.class_names))))
        chosen = classes if isinstance(classes, list) else [classes]
        if most is not None and len(chosen) > most:
            raise ConfigError(
                f"{len(chosen):,} classes are chosen; allowed with so many images of each: {most:,}"
            )
        known = {name: label for label, name in enumerate(exhibit.class_names)}
        labels = []
        for name in chosen:
            checks.member("class", name, exhibit.class_names)
            labels.append(known[str(name)])
        return list(dict.fromkeys(labels))


def first_classes(exhibit: Exhibit) -> list[str]:
    """The classes of the first sheet."""
    return list(exhibit.class_names[:FIRST_CLASSES])
