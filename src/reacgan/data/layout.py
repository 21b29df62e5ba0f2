"""Where the folders of classes are in a tree: decided from names and counts, without any disk.

A folder that holds images itself may be a class; one that holds only folders of images is none, so the
way goes down through it where there is one way. Where there are several, the decision is a problem
that names the paths to give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from reacgan.data.foreign import classes_without_training, foreign_parts
from reacgan.data.names import TRAIN_NAMES, is_general, is_piece, shown, split_of
from reacgan.data.shape import (
    Decision,
    Part,
    Tree,
    Way,
    count_of,
    path_of,
    same_name,
    with_problem,
)


@dataclass(frozen=True)
class _Splits:
    train: Tree
    tests: tuple[Tree, ...] = ()
    others: tuple[Tree, ...] = field(default=())


def decide(tree: Tree) -> Decision:
    """Where the class folders of train, and of test if any is held out, are."""
    if not tree.total:
        return _without_images(tree)
    part = _descend(tree, (), look_for_splits=True)
    splits = find_splits(part.folder.holding)
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


def find_splits(folders: Sequence[Tree]) -> _Splits | None:
    """Which of the folders are splits; None where they are classes or nothing can be said.

    ``train`` beside ``test``, ``seg_train`` beside ``seg_test``; ``train`` alone. Beside other names,
    as in ``train``, ``bus``, ``car``, it may be a class.
    """
    spoken = [(one, *split_of(one.name)) for one in folders]
    trains = [(one, rest) for one, kind, rest in spoken if kind == "train"]
    tests = [(one, rest) for one, kind, rest in spoken if kind == "test"]
    all_speak = len(trains) + len(tests) == len(folders)
    tests.sort(key=lambda pair: _preference(pair[0].name))
    paired = [pair for pair in trains if pair[1] in [rest for _, rest in tests]]
    plain = [pair for pair in trains if not pair[1]]
    candidates = plain if plain and (all_speak or plain[0] in paired) else paired
    if not candidates and len(trains) == 1 and all_speak:
        candidates = trains
    if plain:
        candidates.sort(key=lambda pair: _preference(pair[0].name))
        candidates = candidates[:1]
    if len(candidates) != 1:
        return None
    train, rest = candidates[0]
    same = [one for one, other in tests if other == rest]
    further = [one for one, other in tests if other != rest]
    others = tuple(one for one in folders if one is not train and one not in same + further)
    return _Splits(train, (*same, *further), others)


def _preference(name: str) -> int:
    """``train`` before ``training``, ``test`` before ``val``: as the words are listed."""
    words = (*TRAIN_NAMES, "test", "testing", "val", "valid", "validation", "dev", "eval")
    lowered = name.casefold()
    return next((place for place, word in enumerate(words) if word == lowered), len(words))


def _without_images(tree: Tree) -> Decision:
    """What is refused, and why, is found when the files are looked at."""
    if not tree.folders:
        return Decision(problem="no class folders; found nothing that is an image")
    return Decision(train=(), classes=tuple(one.name for one in tree.folders))


def _descend(tree: Tree, way: Way, *, look_for_splits: bool) -> Part:
    """Go down as long as there is one way and no label is in it."""
    passed: list[tuple[Tree, Way]] = []
    while len(tree.holding) == 1:
        only = tree.holding[0]
        below = find_splits(only.holding) if look_for_splits else None
        divided = below is not None and bool(below.tests)
        if not divided and look_for_splits and find_splits(tree.holding) is not None:
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
    return Part(tree, way, tuple(passed))


def _says_nothing(folder: Tree, deep: Sequence[Tree]) -> bool:
    """Whether all images lie down a single line of folders whose names tell no classes apart.

    ``n01443537/images``, ``cat/cat``, or one name within every class.
    """
    if len(folder.holding) != 1:
        return False
    below = folder.holding[0]
    alike = same_name(below.name, folder.name) or is_general(below.name)
    shared = len(deep) > 1 and all(
        len(one.holding) == 1 and same_name(one.holding[0].name, below.name) for one in deep
    )
    return (alike or shared) and (not below.is_deep or _says_nothing(below, [below]))


def _classes_in(part: Part) -> Part:
    """The same part, with a problem where its sub-folders are no classes."""
    folders, place = part.folder.holding, path_of(part.way) or "it"
    names = [one.name for one in folders]
    if not folders:
        return with_problem(part, f"no class folders; {place} holds {count_of(part.folder.images)}")
    deep = [one for one in folders if one.is_deep]
    if deep and not all(
        _says_nothing(one, deep if deep == list(folders) else [one]) for one in deep
    ):
        return _several(part, deep)
    if all(split_of(name)[0] for name in names):
        inside = "; ".join(
            f"{path_of((*part.way, one.name))} with {count_of(one.total)}" for one in folders
        )
        return with_problem(part, f"no class folders; found {inside}, called as splits are")
    return part


def _several(part: Part, deep: Sequence[Tree]) -> Part:
    """Several ways down, or class folders beside a folder of folders."""
    ways = [(*part.way, one.name) for one in deep]
    inside = "; ".join(
        f"{path_of(way)} holds {shown([below.name for below in one.holding], 3)}"
        for way, one in list(zip(ways, deep, strict=True))[:4]
    ) + (" ..." if len(deep) > 4 else "")
    direct = [one.name for one in part.folder.holding if not one.is_deep]
    if direct and all(split_of(one.name)[0] == "test" for one in deep):
        text = (
            f"class folders ({shown(direct)}) beside a split: {inside}. Move the class folders into "
            "train/ beside it, or it away"
        )
        return with_problem(part, text)
    if direct:
        text = (
            f"class folders ({shown(direct)}) beside what holds no image itself but folders of images: "
            f"{inside}. Move it away or its images up"
        )
    else:
        text = (
            f"several folders hold no image themselves but folders of images, so none of them is a "
            f"class: {inside}"
        )
    return with_problem(part, text, tuple(ways))


def _of_splits(above: Part, splits: _Splits) -> Decision:
    """Train and the first held-out part whose classes are known."""
    before = (*above.passed, (above.folder, above.way))
    train = _part_of(splits.train, above, None)
    parts = [_part_of(one, above, train) for one in splits.tests]
    levels = (*(way for _, way in before), *train.levels)
    foreign = {} if train.problem else foreign_parts(parts, train)
    known = [part for part in parts if not part.problem and part.way not in foreign]
    if train.problem:
        alone = [_part_of(one, above, None) for one in splits.tests]
        choices = train.choices or tuple(part.way for part in alone if not part.problem)
        return Decision(problem=train.problem, choices=choices, levels=levels)
    test = known[0] if known else None
    unused = "" if test is not None else " ".join(list(foreign.values())[:1])
    unread = [path_of((*above.way, one.name)) for one in splits.others]
    unread += [path_of(part.way) for part in known[1:]]
    without = [
        f"{path_of((*above.way, one.name))} holds {count_of(one.total)} without classes: not read"
        for one, part in zip(splits.tests, parts, strict=True)
        if part.problem
    ]
    notes = [f"folders beside the split are not read: {shown(unread, 8)}"] if unread else []
    return Decision(
        train=train.way,
        classes=train.classes,
        test=test.way if test is not None else None,
        notes=(
            *_ways_taken(train, test),
            *without,
            *foreign.values(),
            *(() if test is None else classes_without_training(test, train)),
            *notes,
            *_beside_notes((*before, *train.passed)),
            *_class_notes(train),
        ),
        unused_test=unused,
        levels=levels,
    )


def _part_of(folder: Tree, above: Part, train: Part | None) -> Part:
    """One split; without class folders, or with one that is no class of train, it has a problem."""
    part = _classes_in(_descend(folder, (*above.way, folder.name), look_for_splits=False))
    if part.problem:
        return part
    sole = part.classes[0] if len(part.classes) == 1 else None
    if sole is not None:
        unnamed = is_general(sole) or same_name(sole, part.folder.name)
        foreign = train is not None and not any(same_name(sole, name) for name in train.classes)
        if (unnamed and train is None) or (foreign and unnamed):
            where = path_of((*part.way, sole))
            return with_problem(
                part, f"no class folders; {where} holds {count_of(part.folder.holding[0].total)}"
            )
    return part


def _ways_taken(train: Part, test: Part | None) -> tuple[str, ...]:
    """A line, unless all is as it is described: ``train/<class>/...`` beside ``test/<class>/...``."""
    parts = [("train", train)] + ([("test", test)] if test is not None else [])
    if all(len(part.way) == 1 and not split_of(part.way[0])[1] for _, part in parts):
        return ()
    said = "; ".join(f"{name}: the folders in {path_of(part.way)}" for name, part in parts)
    return (f"classes of {said}",)


def _beside_notes(passed: Sequence[tuple[Tree, Way]]) -> tuple[str, ...]:
    """What lies in folders that were passed through, and is not read."""
    notes = []
    for folder, way in passed:
        if folder.images:
            place = path_of(way) or "the folder given"
            notes.append(f"{count_of(folder.images)} directly in {place}: not read")
        empty = [path_of((*way, one.name)) for one in folder.folders if not one.total]
        if empty:
            notes.append(f"no image in {shown(empty)}: not read")
    return tuple(notes)


def _class_notes(part: Part) -> tuple[str, ...]:
    """What a person may have meant otherwise."""
    notes, classes = [], part.folder.holding
    if len(classes) == 1:
        notes.append(f"one class only, {shown([classes[0].name])}: no other folder holds images")
    spoken = [one.name for one in classes if split_of(one.name) in (("train", ()), ("test", ()))]
    if len(classes) > 1 and all(is_piece(one.name) for one in classes):
        names = shown([one.name for one in classes])
        notes.append(f"taken for classes, though called as parts of one set: {names}")
    if spoken and len(classes) > 1:
        notes.append(f"taken for classes, not for splits: {shown(spoken)}")
    deeper = [
        f"{one.name} ({sum(below.total for below in one.holding):,})"
        for one in classes
        if not one.is_deep and one.holding
    ]
    if deeper:
        notes.append(f"images in sub-folders of a class belong to it: {shown(deeper)}")
    return tuple(notes)
