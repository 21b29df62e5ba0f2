"""Search the tar files of others, which are hostile until shown: names, links, sizes, bombs."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from reacgan.data.dataset import DataError
from reacgan.data.names import IMAGE_SUFFIXES
from reacgan.data.shards.index import MOST_MEMBER_BYTES
from reacgan.records import parse_json

_FAULTS = (tarfile.TarError, EOFError, ValueError, ArithmeticError, LookupError, RecursionError)
"""What the tarfile module raises for damaged headers."""
_MOST_LABEL_BYTES = 2**20
_MOST_HEADER_BYTES = 2**16
_LONGEST_NAME = 500
_MOST_CLASSES = 10**9
_NAME_KEYS = ("class", "class_name", "classname", "label_name", "category", "label")
_NUMBER_KEYS = ("label", "cls", "class_id", "class_index", "class")


class _BoundedInfo(tarfile.TarInfo):
    """A header of a member; one of megabytes is refused before it is read, one that leads back, too."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        more = (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
        )
        if self.type in more and self.size > _MOST_HEADER_BYTES:
            raise DataError(f"a header of {self.size:,} bytes, at most {_MOST_HEADER_BYTES:,}")
        member: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        if member.size < 0:
            raise DataError(f"{member.name!r} has {member.size:,} bytes")
        if tar.offset <= self.offset:
            raise DataError(f"{member.name!r} is followed by what stands before it")
        return member


class ArchivedImage(NamedTuple):
    """What a tar file has of one image."""

    key: str
    offset: int
    size: int
    suffix: str
    name: str | None
    """Of its class, and its number, as far as there are any."""
    number: int | None


@dataclass
class _Members:
    """Parts of the sample that is being collected."""

    key: str = ""
    images: list[tuple[int, int, str]] = field(default_factory=list)
    cls: bytes | None = None
    facts: bytes | None = None

    seen: set[str] = field(default_factory=set)
    """Ends of names that it has."""

    def once(self, name: str, suffix: str) -> None:
        """Refuse a second file of one name: none is known to be the one that is meant."""
        if suffix in self.seen:
            raise DataError(
                f"{name!r} is there twice in one sample; give each file a name of its own"
            )
        self.seen.add(suffix)

    def samples(self) -> Iterator[ArchivedImage]:
        """One for each image; of several, none is known to be the one that is meant."""
        if self.images:
            known = _class_of(self.cls, self.facts)
            for offset, size, suffix in self.images:
                yield ArchivedImage(self.key, offset, size, suffix, *known)


def samples_in(path: Path) -> Iterator[ArchivedImage]:
    """The images of a tar file, with what names their class.

    Raises:
        DataError: no plain tar file; a link, a device, a name that leads elsewhere, a member of no image's
            size, two files of one name in a sample, or a file that is cut off.
    """
    whole = path.stat().st_size
    current = _Members()
    try:
        with tarfile.open(path, "r:", tarinfo=_BoundedInfo) as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # which would hold every header
                if member.isdir():
                    continue
                _check(member, whole)
                key, suffix = _parts(member.name)
                if key != current.key:
                    yield from current.samples()
                    current = _Members(key)
                if suffix in IMAGE_SUFFIXES or suffix in (".cls", ".json"):
                    current.once(member.name, suffix)
                if suffix in IMAGE_SUFFIXES:
                    current.images.append((member.offset_data, member.size, suffix))
                elif suffix in (".cls", ".json"):
                    content = _label(tar, member)
                    if suffix == ".cls":
                        current.cls = content
                    else:
                        current.facts = content
            _check_end(tar)
    except DataError as error:
        raise DataError(f"{path}: refused: {error}") from None
    except (*_FAULTS, OSError) as error:
        remedy = "; unpack it first: gunzip FILE" if path.suffix in (".gz", ".tgz") else ""
        raise DataError(f"{path}: no whole, uncompressed tar file ({error}){remedy}") from None
    yield from current.samples()


def _check(member: tarfile.TarInfo, whole: int) -> None:
    name = member.name
    if not member.isreg() or member.issparse():
        raise DataError(f"{name!r} is a link, a device or a sparse file")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        raise DataError(f"{name!r} leads outside of the set")
    if member.size > MOST_MEMBER_BYTES:
        raise DataError(f"{name!r} has {member.size:,} bytes, at most {MOST_MEMBER_BYTES:,}")
    if member.offset_data + member.size > whole:
        raise DataError(f"the file ends within {name!r}; get it again")


def _check_end(tar: tarfile.TarFile) -> None:
    """Where reading has ended the blocks stand that end a tar; the module ends at any damage as well."""
    file = tar.fileobj
    assert file is not None
    file.seek(tar.offset)
    if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise DataError(
            f"it is cut off or damaged after {tar.offset:,} bytes: "
            "the blocks that end a tar file are not there; get it again"
        )


def _parts(name: str) -> tuple[str, str]:
    """The key of a sample and the end of a member's name, as WebDataset divides them: at the first dot."""
    folder, _, file = name.rpartition("/")
    start, dot, end = file.partition(".")
    return f"{folder}/{start}", f"{dot}{end.lower()}"


def _label(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > _MOST_LABEL_BYTES:
        raise DataError(f"{member.name!r} names a class in {member.size:,} bytes")
    content = tar.extractfile(member)
    return content.read() if content is not None else b""


def _class_of(cls: bytes | None, json: bytes | None) -> tuple[str | None, int | None]:
    """A name and a number of a sample's class, as far as it has them.

    ``.json`` has a name (:data:`_NAME_KEYS`) or a number; ``.cls`` is a number, or a name.
    """
    name, number = None, None
    if json is not None:
        try:
            facts = parse_json(json)
        except ValueError:
            facts = None
        if isinstance(facts, dict):
            name = next((facts[k] for k in _NAME_KEYS if _is_name(facts.get(k))), None)
            number = next((facts[k] for k in _NUMBER_KEYS if _is_number(facts.get(k))), None)
    if cls is not None:
        text = cls.decode("utf-8", "replace").strip()
        if re.fullmatch(r"\d{1,9}", text):
            number = int(text)
        elif name is None and _is_name(text):
            name = text
    return name, number


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST_NAME


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < _MOST_CLASSES
