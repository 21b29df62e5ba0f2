"""Held-out folders whose classes are not those of train: what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

from reacgan.data.names import class_name_of, shown
from reacgan.data.shape import Part, Way, count_of, path_of


def foreign_parts(parts: Sequence[Part], train: Part) -> dict[Way, str]:
    """Held-out parts of which no class is one of train's, with why they are not used."""
    return {
        part.way: f"the test split {path_of(part.way)} is not used: its classes "
        f"({shown(part.classes)}) are not those of train ({shown(train.classes)}); name its folders "
        "as those of train"
        for part in parts
        if not part.problem and len(_foreign(part, train)) == len(part.classes)
    }


def classes_without_training(test: Part, train: Part) -> tuple[str, ...]:
    """A line for classes of the test split that train has not, whose images are refused."""
    names = _foreign(test, train)
    if not names:
        return ()
    count = sum(one.total for one in test.folder.holding if one.name in names)
    return (
        f"{path_of(test.way)} has classes that train has not, {shown(names)}: {count_of(count)} not "
        f"used, of {test.folder.total:,}; the test split is refused where they are too many",
    )


def _foreign(part: Part, train: Part) -> list[str]:
    known = {class_name_of(name) for name in train.classes}
    return [name for name in part.classes if class_name_of(name) not in known]
