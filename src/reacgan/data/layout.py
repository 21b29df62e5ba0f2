"""Find the class folders in a tree, as a pure function of names and counts.

A folder with images may be a class; one with only folders of images is not, so the search descends
through it if it is the only one. With several, the decision is a problem that lists the candidate paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from reacgan.data.names import (
    TEST_NAMES,
    TRAIN_NAMES,
    class_name_of,
    is_general,
    is_piece,
    plural,
    shown,
    split_of,
)

Way = tuple[str, ...]
"""Names of folders from the root downwards."""


@dataclass(frozen=True)
class Tree:
    """A folder: its images, visible sub-folders, and files that may hold labels."""

    name: str
    images: int = 0
    folders: tuple[Tree, ...] = ()
    tables: tuple[str, ...] = ()
    readable: bool = True

    @cached_property
    def total(self) -> int:
        """Images in it and below; an unreadable folder counts as one."""
        own = self.images if self.readable else 1
        return own + sum(folder.total for folder in self.folders)

    @cached_property
    def holding(self) -> tuple[Tree, ...]:
        """Sub-folders with an image at any depth."""
        return tuple(folder for folder in self.folders if folder.total)

    @property
    def is_deep(self) -> bool:
        """Whether it holds only folders of images."""
        return self.readable and not self.images


@dataclass(frozen=True)
class Decision:
    """The class folders of each split, or why they are ambiguous."""

    train: Way | None = None
    classes: tuple[str, ...] = ()
    test: Way | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""
    choices: tuple[Way, ...] = ()
    """Candidate paths to give instead."""
    unused_test: str = ""
    """Why the folders of a test split are not used."""
    levels: tuple[Way, ...] = ((),)
    """The folders above the classes, from the root down, where label files may be."""

    @property
    def has_classes(self) -> bool:
        """Whether there are several class folders."""
        return self.train is not None and len(self.classes) > 1

    @property
    def are_pieces(self) -> bool:
        """Whether the folders are named as parts of one large set: ``00000``, ``images_part_2``."""
        return all(map(is_piece, self.classes))


@dataclass(frozen=True)
class _Part:
    """The class folders of one split, or why there are none."""

    folder: Tree
    way: Way
    passed: tuple[tuple[Tree, Way], ...] = ()
    """The folders above it."""
    problem: str = ""
    choices: tuple[Way, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(folder.name for folder in self.folder.holding or self.folder.folders)

    @property
    def levels(self) -> tuple[Way, ...]:
        return (*(way for _, way in self.passed), self.way)

    def refused(self, problem: str, choices: tuple[Way, ...] = ()) -> _Part:
        return replace(self, problem=problem, choices=choices)

    def foreign_to(self, train: _Part) -> list[str]:
        """Its classes that are not in train."""
        known = {class_name_of(name) for name in train.classes}
        return [name for name in self.classes if class_name_of(name) not in known]


class _Splits(NamedTuple):
    train: Tree
    tests: tuple[Tree, ...]
    others: tuple[Tree, ...]


def decide(tree: Tree) -> Decision:
    """Find the class folders of train, and of test if there is one."""
    if not tree.total and not tree.folders:
        return Decision(problem="no class folders; found nothing that is an image")
    if not tree.total:  # reading the files gives the reasons
        return Decision(train=(), classes=tuple(folder.name for folder in tree.folders))
    part = _descend(tree, (), look_for_splits=True)
    splits = _find_splits(part.folder.holding)
    if splits is not None:
        return _of_splits(part, splits)
    part = _classes_in(part)
    if part.problem:
        return Decision(problem=part.problem, choices=part.choices, levels=part.levels)
    way_taken = (f"the classes are the folders in {path_of(part.way)}",) if part.way else ()
    return Decision(
        train=part.way,
        classes=part.classes,
        notes=(*way_taken, *_beside_notes(part.passed), *_class_notes(part)),
        levels=part.levels,
    )


def _find_splits(folders: Sequence[Tree]) -> _Splits | None:
    """The folders that are splits; None if they are classes or ambiguous.

    ``train`` beside ``test``, ``seg_train`` beside ``seg_test``; ``train`` alone. Beside other names,
    as in ``train``, ``bus``, ``car``, it may be a class.
    """
    spoken = [(folder, *split_of(folder.name)) for folder in folders]
    trains = [(folder, rest) for folder, kind, rest in spoken if kind == "train"]
    tests = [(folder, rest) for folder, kind, rest in spoken if kind == "test"]
    all_speak = len(trains) + len(tests) == len(folders)
    tests.sort(key=lambda pair: _preference(pair[0].name))
    paired = [pair for pair in trains if pair[1] in [rest for _, rest in tests]]
    plain = [pair for pair in trains if not pair[1]]
    candidates = plain if plain and (all_speak or plain[0] in paired) else paired
    if not candidates and len(trains) == 1 and all_speak:
        candidates = trains
    if plain:
        candidates = sorted(candidates, key=lambda pair: _preference(pair[0].name))[:1]
    if len(candidates) != 1:
        return None
    train, rest = candidates[0]
    same = [folder for folder, other in tests if other == rest]
    tests_in_order = (*same, *(folder for folder, other in tests if other != rest))
    others = tuple(
        folder for folder in folders if folder is not train and folder not in tests_in_order
    )
    return _Splits(train, tests_in_order, others)


def _preference(name: str) -> int:
    """Rank of a split's name: ``train`` before ``training``, ``test`` before ``val``."""
    words = (*TRAIN_NAMES, *TEST_NAMES[:-1])
    lowered = name.casefold()
    return words.index(lowered) if lowered in words else len(words)


def _descend(tree: Tree, way: Way, *, look_for_splits: bool) -> _Part:
    """Descend while there is a single folder whose name is no label."""
    passed: list[tuple[Tree, Way]] = []
    while len(tree.holding) == 1:
        only = tree.holding[0]
        below = _find_splits(only.holding) if look_for_splits else None
        divided = below is not None and bool(below.tests)
        if not divided and look_for_splits and _find_splits(tree.holding) is not None:
            break
        leads_on = (
            is_general(only.name) or not _says_nothing(only, [only])
            if only.is_deep
            else len(only.holding) > 1
        )
        if not (divided or leads_on):
            break
        passed.append((tree, way))
        tree, way = only, (*way, only.name)
    return _Part(tree, way, tuple(passed))


def _says_nothing(folder: Tree, deep: Sequence[Tree]) -> bool:
    """Whether all images are below a chain of single folders whose names are no classes.

    ``n01443537/images``, ``cat/cat``, or one name within every class.
    """
    if len(folder.holding) != 1:
        return False
    below = folder.holding[0]
    alike = _same_name(below.name, folder.name) or is_general(below.name)
    shared = len(deep) > 1 and all(
        len(other.holding) == 1 and _same_name(other.holding[0].name, below.name) for other in deep
    )
    return (alike or shared) and (not below.is_deep or _says_nothing(below, [below]))


def _classes_in(part: _Part) -> _Part:
    """The part, with a problem if its sub-folders are no classes."""
    folders, where = part.folder.holding, path_of(part.way) or "it"
    if not folders:
        return part.refused(
            f"no class folders; {where} holds {plural(part.folder.images, 'image')}"
        )
    deep = [folder for folder in folders if folder.is_deep]
    if deep and not all(
        _says_nothing(folder, deep if deep == list(folders) else [folder]) for folder in deep
    ):
        return _several(part, deep)
    if all(split_of(folder.name)[0] for folder in folders):
        inside = "; ".join(
            f"{path_of((*part.way, folder.name))} with {plural(folder.total, 'image')}"
            for folder in folders
        )
        return part.refused(f"no class folders; found {inside}, called as splits are")
    return part


def _several(part: _Part, deep: Sequence[Tree]) -> _Part:
    """The problem of several folders of folders, or of class folders beside one."""
    ways = tuple((*part.way, folder.name) for folder in deep)
    inside = "; ".join(
        f"{path_of(way)} holds {shown([below.name for below in folder.holding], 3)}"
        for way, folder in list(zip(ways, deep, strict=True))[:4]
    ) + (" ..." if len(deep) > 4 else "")
    direct = shown([folder.name for folder in part.folder.holding if not folder.is_deep])
    if direct and all(split_of(folder.name)[0] == "test" for folder in deep):
        return part.refused(
            f"class folders ({direct}) beside a split: {inside}. Move the class folders into "
            "train/ beside it, or it away"
        )
    if direct:
        return part.refused(
            f"class folders ({direct}) beside what holds no image itself but folders of images: "
            f"{inside}. Move it away or its images up",
            ways,
        )
    return part.refused(
        "several folders hold no image themselves but folders of images, so none of them is a "
        f"class: {inside}",
        ways,
    )


def _of_splits(above: _Part, splits: _Splits) -> Decision:
    """Train and the first held-out part with the classes of train."""
    before = (*above.passed, (above.folder, above.way))
    train = _part_of(splits.train, above, None)
    levels = (*(way for _, way in before), *train.levels)
    if train.problem:
        alone = [_part_of(folder, above, None) for folder in splits.tests]
        choices = train.choices or tuple(part.way for part in alone if not part.problem)
        return Decision(problem=train.problem, choices=choices, levels=levels)
    parts = [_part_of(folder, above, train) for folder in splits.tests]
    foreign = {
        part.way: f"the test split {path_of(part.way)} is not used: its classes "
        f"({shown(part.classes)}) are not those of train ({shown(train.classes)}); name its folders "
        "as those of train"
        for part in parts
        if not part.problem and len(part.foreign_to(train)) == len(part.classes)
    }
    known = [part for part in parts if not part.problem and part.way not in foreign]
    test = known[0] if known else None
    unread = [path_of((*above.way, folder.name)) for folder in splits.others]
    unread += [path_of(part.way) for part in known[1:]]
    without = [
        f"{path_of((*above.way, folder.name))} holds {plural(folder.total, 'image')} without classes: "
        "not read"
        for folder, part in zip(splits.tests, parts, strict=True)
        if part.problem
    ]
    return Decision(
        train=train.way,
        classes=train.classes,
        test=test.way if test is not None else None,
        notes=(
            *_ways_taken(train, test),
            *without,
            *foreign.values(),
            *(_classes_without_training(test, train) if test is not None else ()),
            *([f"folders beside the split are not read: {shown(unread, 8)}"] if unread else []),
            *_beside_notes((*before, *train.passed)),
            *_class_notes(train),
        ),
        unused_test="" if test is not None else next(iter(foreign.values()), ""),
        levels=levels,
    )


def _part_of(folder: Tree, above: _Part, train: _Part | None) -> _Part:
    """One split, with a problem if it has no class folders or only one foreign to train."""
    part = _classes_in(_descend(folder, (*above.way, folder.name), look_for_splits=False))
    if part.problem or len(part.classes) != 1:
        return part
    sole = part.classes[0]
    unnamed = is_general(sole) or _same_name(sole, part.folder.name)
    known = train is not None and any(_same_name(sole, name) for name in train.classes)
    if unnamed and not known:
        inside = plural(part.folder.holding[0].total, "image")
        return part.refused(f"no class folders; {path_of((*part.way, sole))} holds {inside}")
    return part


def _classes_without_training(test: _Part, train: _Part) -> tuple[str, ...]:
    """A note on classes of the test split that are not in train; their images are refused."""
    names = test.foreign_to(train)
    if not names:
        return ()
    count = sum(folder.total for folder in test.folder.holding if folder.name in names)
    return (
        f"{path_of(test.way)} has classes that train has not, {shown(names)}: {plural(count, 'image')} not "
        f"used, of {test.folder.total:,}; the test split is refused where they are too many",
    )


def _ways_taken(train: _Part, test: _Part | None) -> tuple[str, ...]:
    """A note, unless the layout is ``train/<class>/...`` beside ``test/<class>/...``."""
    parts = [("train", train)] + ([("test", test)] if test is not None else [])
    if all(len(part.way) == 1 and not split_of(part.way[0])[1] for _, part in parts):
        return ()
    ways = "; ".join(f"{name}: the folders in {path_of(part.way)}" for name, part in parts)
    return (f"classes of {ways}",)


def _beside_notes(passed: Sequence[tuple[Tree, Way]]) -> tuple[str, ...]:
    """Notes on ignored contents of the folders above the classes."""
    notes = []
    for folder, way in passed:
        if folder.images:
            where = path_of(way) or "the folder given"
            notes.append(f"{plural(folder.images, 'image')} directly in {where}: not read")
        empty = [path_of((*way, below.name)) for below in folder.folders if not below.total]
        if empty:
            notes.append(f"no image in {shown(empty)}: not read")
    return tuple(notes)


def _class_notes(part: _Part) -> tuple[str, ...]:
    """Notes on classes that may not be intended."""
    classes = part.folder.holding
    names = [folder.name for folder in classes]
    notes = []
    if len(names) == 1:
        notes.append(f"one class only, {shown(names)}: no other folder holds images")
    if len(names) > 1 and all(map(is_piece, names)):
        notes.append(f"taken for classes, though called as parts of one set: {shown(names)}")
    spoken = [name for name in names if split_of(name) in (("train", ()), ("test", ()))]
    if spoken and len(names) > 1:
        notes.append(f"taken for classes, not for splits: {shown(spoken)}")
    deeper = [
        f"{folder.name} ({sum(below.total for below in folder.holding):,})"
        for folder in classes
        if not folder.is_deep and folder.holding
    ]
    if deeper:
        notes.append(f"images in sub-folders of a class belong to it: {shown(deeper)}")
    return tuple(notes)


def _same_name(first: str, second: str) -> bool:
    """Whether two names are equal up to case and Unicode normalisation."""
    return class_name_of(first).casefold() == class_name_of(second).casefold()


def path_of(way: Way) -> str:
    """The path with slashes; empty for the root."""
    return "".join(f"{name}/" for name in way)
