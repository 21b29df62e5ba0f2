"""Which columns of a table hold the file, the class and the split: by name, or where only one can."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from reacgan.data.names import class_name_of, shown
from reacgan.data.splits import SPLITS, SplitsError, find_split, split_taken, unread_note

PATHS = ("path", "file", "filename", "file_name", "image")
LABELS = ("label", "class", "target")

_MORE_PATHS = frozenset(
    {
        "filepath", "file_path", "image_path", "img_path", "image_name", "imagename", "img_name",
        "image_file", "imagefile", "img", "images", "picture", "photo", "paths", "files", "filenames",
        "pfad", "datei", "dateiname", "dateipfad", "bild", "bilddatei", "bildpfad", "foto",
        "chemin", "fichier", "nom_fichier", "nom_du_fichier", "photographie",
        "ruta", "archivo", "fichero", "imagen", "percorso", "immagine", "nome_file",
        "caminho", "arquivo", "imagem", "pad", "bestand", "bestandsnaam", "afbeelding",
        "sökväg", "fil", "filnamn", "sti", "filnavn", "bilde", "billede", "polku", "tiedosto", "kuva",
        "ścieżka", "plik", "obraz", "zdjęcie", "cesta", "soubor", "obrázek", "fájl", "kép",
        "путь", "файл", "изображение", "картинка", "yol", "dosya", "resim", "görüntü",
        "路径", "文件", "文件名", "图片", "图像",
        "パス", "ファイル", "ファイル名", "画像", "경로", "파일", "이미지",
    }
)  # fmt: skip
_MORE_LABELS = frozenset(
    {
        "labels", "classes", "targets", "class_name", "classname", "class_label", "label_name",
        "category", "klasse", "kategorie", "etikett", "bezeichnung", "classe", "étiquette", "catégorie",
        "clase", "etiqueta", "categoría", "categoria", "etichetta", "rótulo", "categorie", "klass",
        "kategori", "luokka", "klasa", "etykieta", "kategoria", "třída", "štítek", "osztály", "címke",
        "класс", "метка", "категория", "sınıf", "etiket", "类别", "类", "标签", "クラス", "ラベル", "분류",
        "클래스", "라벨",
    }
)  # fmt: skip
_NUMBER = re.compile(r"[+-]?([0-9]+[.,][0-9]+|[0-9]*[.,][0-9]+([eE][+-]?[0-9]+)?)")
_NUMBER_OR_BIT = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+([eE][+-]?[0-9]+)?|true|false", re.IGNORECASE)
_LOOKED_AT = 200
_BITS = {"0": 0, "0.0": 0, "1": 1, "1.0": 1}


class ColumnsError(ValueError):
    """No column, or several, that may hold what is needed; the text says which there are."""


@dataclass(frozen=True)
class Columns:
    """Numbers of columns."""

    path: int
    label: int | None
    """None where each class has a column of its own (``one_hot``)."""
    split: int | None
    notes: tuple[str, ...] = ()
    """Which were taken, where their names are not those that are documented, and which are not read."""
    one_hot: tuple[int, ...] = ()
    """Columns of 0 and 1, one a class, of which every line has a single 1."""


def plain_name(name: str) -> str:
    """A column's name without case, spaces at the ends or another Unicode form."""
    return class_name_of(name).strip().strip("\ufeff").casefold().replace(" ", "_")


def choose_columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], looks_like_file: Callable[[str], bool]
) -> Columns:
    """Choose by documented names, then by usual ones, then where only one column can be meant.

    Raises:
        ColumnsError: none, or several.
    """
    names = [plain_name(name) for name in header]
    label = _named(names, LABELS, _MORE_LABELS)
    path = _named(names, PATHS, _MORE_PATHS)
    try:
        split = find_split(names, rows, (label, path))
    except SplitsError as error:
        raise ColumnsError(str(error)) from None
    if path is None:
        rest = [place for place in range(len(names)) if place not in (label, split)]
        looked_at = rows[:_LOOKED_AT]
        found = [
            place
            for place in rest
            if _share(looked_at, place, looks_like_file) > 0.5 and names[place]
        ]
        if len(found) != 1:
            raise ColumnsError(_state(header, found, PATHS, "may name the files"))
        path = found[0]
    one_hot: tuple[int, ...] = ()
    if label is None:
        found = [
            place for place in range(len(names)) if place not in (path, split) and names[place]
        ]
        if len(found) > 1 and rows and all(one_of(row, found) is not None for row in rows):
            one_hot = tuple(found)
        elif len(found) != 1:
            state = _state(header, found, LABELS, "may hold the class")
            raise ColumnsError(state + _not_one_hot(header, rows, found))
        else:
            label = found[0]
            values = [row[label].strip() for row in rows[:_LOOKED_AT] if label < len(row)]
            _check_is_class(header[label], values)
    columns = Columns(path, label, split, one_hot=one_hot)
    used = [one for one in (path, label, split, *one_hot) if one is not None]
    notes = (
        _taken_note(columns, header, names, rows),
        unread_note(header, names, rows, used, split),
    )
    return replace(columns, notes=tuple(filter(None, notes)))


def _taken_note(
    columns: Columns, header: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """Which columns were taken; nothing where all have documented names."""
    titles = [name.strip() for name in header]
    said = []
    if columns.label is None:
        said.append(
            f"each column is taken for a class: {shown([titles[one] for one in columns.one_hot], 8)}"
        )
    elif names[columns.path] not in PATHS or names[columns.label] not in LABELS:
        said.append(
            f"column {titles[columns.path]} is taken for the file, {titles[columns.label]} for the "
            "class"
        )
    place = columns.split
    if place is not None and names[place] not in SPLITS:
        said.append(split_taken(titles[place], names[place], [row[place] for row in rows]))
    return "; ".join(said)


def _not_one_hot(header: Sequence[str], rows: Sequence[Sequence[str]], found: Sequence[int]) -> str:
    """Why columns of numbers are not one column a class; nothing where they do not look so."""
    numeric = [
        place
        for place in found
        if all(_NUMBER_OR_BIT.fullmatch(row[place].strip()) for row in rows)
    ]
    if len(numeric) < 2 or not rows:
        return ""
    number, row = next(
        (number, row) for number, row in enumerate(rows, start=2) if one_of(row, found) is None
    )
    values = shown([f"{header[one].strip()} {row[one].strip()!r}" for one in found], 8)
    return (
        ". If each of them is a class (one column a class), every row needs exactly one 1 and 0 in "
        f"the others, and there is no further column: row {number} has {values}"
    )


def one_of(row: Sequence[str], places: Sequence[int]) -> int | None:
    """The only place that holds 1 where the others hold 0; None where it is not so."""
    values = [_BITS.get(row[place].strip()) for place in places]
    if None in values or values.count(1) != 1:
        return None
    return places[values.index(1)]


def _named(names: Sequence[str], documented: Sequence[str], usual: frozenset[str]) -> int | None:
    for known in (documented, usual):
        there = [place for place, name in enumerate(names) if name in known]
        if len(there) > 1:
            first, second = names[there[0]], names[there[1]]
            if first == second:
                raise ColumnsError(f"names the column {first} twice; leave one out")
            raise ColumnsError(
                f"has both {first} and {second}; needed: one of {', '.join(documented)}"
            )
        if there:
            return there[0]
    return None


def _share(rows: Sequence[Sequence[str]], place: int, test: Callable[[str], bool]) -> float:
    values = [row[place] for row in rows if place < len(row) and row[place].strip()]
    return sum(map(test, values)) / max(1, len(values))


def _state(
    header: Sequence[str], found: Sequence[int], documented: Sequence[str], what: str
) -> str:
    held = shown([name.strip() for name in header if name.strip()], 8) or "nothing"
    several = (
        f", of which {shown([header[place].strip() for place in found])} {what}" if found else ""
    )
    return (
        f"has only {held}{several}; needed: one of {', '.join(documented)} in the header line; rename "
        "the column that is meant"
    )


def _check_is_class(name: str, values: Sequence[str]) -> None:
    """A column that was not named as the class must look like one."""
    known = [value for value in values if value]
    if known and all(_NUMBER.fullmatch(value) for value in known):
        needed = f"rename it to {LABELS[0]} if it is the class"
        raise ColumnsError(f"has the column {name.strip()}, which holds fractions; {needed}")
    if len(known) > 20 and len(set(known)) == len(known):
        needed = f"rename it to {LABELS[0]} if it is the class"
        raise ColumnsError(
            f"has the column {name.strip()}, in which every line has its own value; {needed}"
        )
