"""Generated images as people handle them: one as a picture, many as a lazy sequence."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import overload

import torch
from PIL import Image
from torch import Tensor

from reacgan.config import ConfigError, path_of
from reacgan.files import replacing
from reacgan.models.norm_statistics import normalises_by_batch
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling.grids import (
    MOST_ROWS,
    PICTURE_CHANNELS,
    picture_of,
    save_image,
    sheet,
)
from reacgan.sampling.images import images_of
from reacgan.sampling.passes import Passes
from reacgan.sampling.settings import SamplingSettings

MOST_ON_A_SHEET = 10_000
"""Images; a larger sheet cannot be looked at."""
_KEPT = 64 * 2**20
"""Bytes of images that a sequence keeps, so that looking twice does not generate twice."""
_SMALLEST = 96
"""Pixels of the shorter side in a notebook."""
_LOOKED_THROUGH = 100_000
"""Positions among which a notebook's sheet looks for images of each class."""


@dataclass(frozen=True)
class Sample:
    """A generated image."""

    label: int
    """Index of the class."""
    class_name: str
    seed: int
    image: Tensor = field(repr=False)
    """uint8 [C, H, W]."""

    @property
    def pil(self) -> Image.Image:
        """A Pillow image: grey, RGB or RGBA.

        Raises:
            ConfigError: the image has other than 1, 3 or 4 channels.
        """
        channels = self.image.shape[0]
        if channels not in PICTURE_CHANNELS:
            raise ConfigError(
                f"the image has {channels} channels; a picture has 1, 3 or 4. All of them are in "
                "sample.image, and sample.save('NAME.npy') writes them"
            )
        return picture_of(self.image)

    def save(self, path: str | Path) -> Path:
        """Write a file of the kind that its name ends in; missing folders are made.

        Args:
            path: such as ``cat.png``; JPEG, WebP, TIFF, BMP and whatever else Pillow writes, or
                ``.npy`` for an array [H, W, C] of any number of channels.

        Returns:
            The file.

        Raises:
            ConfigError: no such kind of file, or one that cannot hold the channels.
        """
        path = path_of(path)
        if path.suffix.lower() == ".npy":
            return save_image(self.image, path.parent, path.stem, as_array=True)
        kind = Image.registered_extensions().get(path.suffix.lower())
        if kind is None or kind not in Image.SAVE:
            ending = f"ends in {path.suffix!r}" if path.suffix else "has no ending"
            raise ConfigError(
                f"{path}: {ending}; needed: a kind of picture, such as .png, .jpg, .webp, .tif or .bmp, "
                "or .npy"
            )
        picture = self.pil
        try:
            with replacing(path, flush=False) as temporary:  # of thousands, and made again alike
                picture.save(temporary, format=kind)
        except (OSError, KeyError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the disk
            raise ConfigError(f"{path}: {kind} cannot hold this image ({error}); PNG can") from None
        return path

    def _repr_png_(self) -> bytes:
        """For notebooks: small images are enlarged by a whole factor, without smoothing."""
        picture = picture_of(self.image)
        factor = max(1, -(-_SMALLEST // min(picture.size)))
        size = picture.width * factor, picture.height * factor
        return _png(picture.resize(size, Image.Resampling.NEAREST))


class SampleSequence(Sequence[Sample]):
    """Images of classes and seeds, generated when they are asked for.

    Indexing gives a :class:`Sample`, slicing a shorter sequence, and iterating holds one batch beside
    the images of the last 64 MiB; so a sequence may be of any length.

    Args:
        model: the generator, with the statistics that were asked for.
        labels: the classes.
        seeds: of each class.
        settings: how images are generated.
    """

    def __init__(
        self,
        model: TrainedGenerator,
        labels: Sequence[int],
        seeds: range,
        settings: SamplingSettings,
    ) -> None:
        self._maker = _Maker(model, labels, seeds, settings)
        self._positions = range(len(labels) * len(seeds))

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> SampleSequence: ...

    def __getitem__(self, index: int | slice) -> Sample | SampleSequence:
        if isinstance(index, slice):
            part = object.__new__(SampleSequence)
            part._maker, part._positions = self._maker, self._positions[index]
            return part
        try:
            self._positions[index]
        except IndexError:
            raise IndexError(f"sample {index} of {len(self):,}") from None
        return self._maker.sample(self._positions, index % len(self))

    def __iter__(self) -> Iterator[Sample]:
        return (self._maker.sample(self._positions, index) for index in range(len(self)))

    def __repr__(self) -> str:
        if not self:
            return "<no samples>"
        classes = len({self._maker.pair(at)[0] for at in islice(self._positions, _LOOKED_THROUGH)})
        more = " or more" if len(self) > _LOOKED_THROUGH else ""
        noun = "class" if classes == 1 else "classes"
        return f"<{len(self):,} samples of {classes}{more} {noun}, of {self._maker.model!r}>"

    def sheet(self, columns: int = 10) -> Image.Image:
        """All of them on one picture: each class begins a row, a column is a seed.

        Args:
            columns: images in a row.

        Raises:
            ConfigError: no image, or more than 10,000.
        """
        if columns < 1:
            raise ConfigError(f"columns is {columns}; allowed: 1 or more")
        if not 0 < len(self) <= MOST_ON_A_SHEET:
            raise ConfigError(
                f"a sheet of {len(self):,} images; allowed: 1 to {MOST_ON_A_SHEET:,}. Take a part, such as "
                "samples[:100].sheet()"
            )
        by_class: dict[int, list[Sample]] = {}
        for sample in self:
            by_class.setdefault(sample.label, []).append(sample)
        rows = [
            (group[0].class_name if first == 0 else "", group[first : first + columns])
            for group in by_class.values()
            for first in range(0, len(group), columns)
        ]
        longest = max(len(row) for _, row in rows)
        images = torch.stack(
            [_filled([sample.image for sample in row], longest) for _, row in rows]
        )
        return sheet(images, [name for name, _ in rows])

    def _repr_html_(self) -> str:
        """For notebooks: a row a class; of many images the first of each class."""
        if not self:
            return html.escape(repr(self))
        rows: dict[int, list[int]] = {}
        for index, position in enumerate(islice(self._positions, _LOOKED_THROUGH)):
            label = self._maker.pair(position)[0]
            if label not in rows and len(rows) == MOST_ROWS:
                continue
            row = rows.setdefault(label, [])
            if len(row) < 10:
                row.append(index)
        lines = [_html_row([self[index] for index in row]) for row in rows.values()]
        shown = sum(map(len, rows.values()))
        left = f"<p>{shown:,} of {len(self):,} images</p>" if shown < len(self) else ""
        return (
            '<div style="overflow-x:auto"><table style="border-collapse:collapse">'
            f"{''.join(lines)}</table>{left}</div>"
        )


class _Maker:
    """Makes the images of a sequence and of its slices, in batches, and keeps the last ones."""

    def __init__(
        self,
        model: TrainedGenerator,
        labels: Sequence[int],
        seeds: range,
        settings: SamplingSettings,
    ) -> None:
        self.model, self._labels, self._seeds, self._settings = model, labels, seeds, settings
        self._coupled = normalises_by_batch(model.generator)
        self._passes = Passes(model.generator, settings)
        self._batches: dict[range, Tensor] = {}

    def pair(self, position: int) -> tuple[int, int]:
        """Label and seed: class by class, or by seed where a batch should mix the classes."""
        if self._coupled:
            seed, label = divmod(position, len(self._labels))
        else:
            label, seed = divmod(position, len(self._seeds))
        return self._labels[label], self._seeds[seed]

    def sample(self, positions: range, index: int) -> Sample:
        """The sample at ``positions[index]``, of a batch of these positions.

        With batch statistics the batch is that of the whole sequence, on which the image depends.
        """
        position = positions[index]
        if self._coupled:
            positions, index = range(len(self._labels) * len(self._seeds)), position
        size = self._passes_here().size
        start = index // size * size
        batch = positions[start : start + size]
        if batch not in self._batches:
            self._keep(batch, self._make(batch))
        label, seed = self.pair(position)
        name = self.model.class_names[label]
        return Sample(label, name, seed, self._batches[batch][index - start])

    def _make(self, batch: range) -> Tensor:
        pairs = [self.pair(position) for position in batch]
        labels = torch.tensor([label for label, _ in pairs])
        seeds = [seed for _, seed in pairs]
        return images_of(self.model, labels, seeds, self._settings, self._passes)

    def _keep(self, batch: range, images: Tensor) -> None:
        if (len(self._batches) + 1) * images.nbytes > _KEPT:
            self._batches.clear()
        self._batches[batch] = images

    def _passes_here(self) -> Passes:
        """The passes, begun anew where the model was moved to another device."""
        if self._passes.device != next(self.model.generator.parameters()).device:
            self._passes = Passes(self.model.generator, self._settings)
            self._batches.clear()
        return self._passes


def _filled(images: list[Tensor], length: int) -> Tensor:
    """A row ``[length, C, H, W]``; what is missing is white."""
    blank = torch.full_like(images[0], 255)
    return torch.stack(images + [blank] * (length - len(images)))


def _html_row(row: list[Sample]) -> str:
    name = html.escape(row[0].class_name)
    picture = sheet(torch.stack([sample.image for sample in row])[None])
    data = base64.b64encode(_png(picture)).decode()
    seeds = ", ".join(str(sample.seed) for sample in row)
    return (
        f'<tr><th scope="row" style="text-align:left;max-width:16em;overflow-wrap:anywhere">{name}</th>'
        f'<td><img alt="{name}, seeds {seeds}" src="data:image/png;base64,{data}" '
        'style="display:block;max-width:none;image-rendering:pixelated"></td></tr>'
    )


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()
