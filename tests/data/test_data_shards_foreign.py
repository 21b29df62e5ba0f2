"""Shards that others wrote: classes of .cls and .json, splits by name; hostile tar files are refused."""

from __future__ import annotations

import io
import json
import tarfile
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from shards import contents, make_shards, opened
from test_data_shards_fetched import serving

from reacgan.config import ConfigError
from reacgan.data import DataError, find_dataset
from reacgan.data.shards import finding
from reacgan.data.shards.cache import ShardCache, shards_folder
from reacgan.data.shards.finding import find_shards
from reacgan.data.shards.index import Shard


def picture(number, *, side=16, form="PNG"):
    """The content of a picture of noise."""
    noise = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, form)
    return buffer.getvalue()


def write_tar(path, members):
    """A tar file of (name, content), or of headers as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
    return path


def sample(key, *, cls=None, facts=None, form="PNG", suffix="png"):
    """The members of an image."""
    yield f"{key}.{suffix}", picture(key, form=form)
    if cls is not None:
        yield f"{key}.cls", str(cls).encode()
    if facts is not None:
        yield f"{key}.json", json.dumps(facts).encode()


def samples(count, **options):
    return [member for key in range(count) for member in sample(key, **options)]


def test_names_of_json_in_the_order_of_cls(tmp_path):
    members = [
        *sample(1, cls=7, facts={"class": "🦊 fox"}),
        *sample(2, cls=3, facts={"class": "zebra"}, suffix="jpg", form="JPEG"),
        *sample(3, cls=7, facts={"class": "🦊 fox"}, suffix="WEBP", form="WEBP"),
    ]
    write_tar(tmp_path / "set" / "shard-000000.tar", members)
    data = opened(tmp_path / "set")
    assert data.class_names == ("zebra", "🦊 fox") and data.labels.tolist() == [1, 0, 1]
    expected = np.asarray(Image.open(io.BytesIO(picture(1)))).transpose(2, 0, 1)
    assert (data.images[0] == expected).all()


@pytest.mark.parametrize(
    ("facts", "cls", "names"),
    [
        (None, "cat", ("cat",)),
        (None, 4, ("4",)),
        ({"label": 2}, None, ("2",)),
        ({"label": "dog", "seed": 1}, None, ("dog",)),
        ({"class_name": "owl", "class_id": 3}, None, ("owl",)),
    ],
)
def test_ways_to_name_a_class(tmp_path, facts, cls, names):
    write_tar(tmp_path / "set" / "a.tar", sample(0, cls=cls, facts=facts))
    assert opened(tmp_path / "set").class_names == names


def test_names_from_a_list_beside_the_shards(tmp_path):
    write_tar(tmp_path / "set" / "a.tar", [*sample(0, cls=1), *sample(1, cls=0)])
    (tmp_path / "set" / "classnames.txt").write_text("tench\ngoldfish\n")
    assert opened(tmp_path / "set").class_names == ("tench", "goldfish")


@pytest.mark.parametrize("names", [("train-0.tar", "val-0.tar"), ("train/0.tar", "test/0.tar")])
def test_splits_by_name(tmp_path, names):
    write_tar(tmp_path / "set" / names[0], [*sample(0, cls=0), *sample(1, cls=1)])
    write_tar(tmp_path / "set" / names[1], sample(2, cls=1))
    assert len(opened(tmp_path / "set")) == 2
    assert opened(tmp_path / "set", "test").labels.tolist() == [1]


def test_a_pattern_and_a_server(tmp_path):
    for number in range(3):
        write_tar(tmp_path / "set" / f"x-{number:03d}.tar", sample(number, cls=number))
    here = opened(tmp_path / "set")
    assert contents(opened(f"{tmp_path}/set/x-{{000..002}}.tar")) == contents(here)
    with serving(tmp_path / "set") as server:
        there = opened(f"{server.address}/x-{{000..002}}.tar")
        assert contents(there) == contents(here)
        assert len(opened(f"{server.address}/x-000.tar")) == 1
        with pytest.raises(DataError, match="answers 404"):
            opened(f"{server.address}/x-{{000..003}}.tar")


def test_ours_without_their_index(tmp_path):
    folder = make_shards(tmp_path)
    ours = opened(folder)
    (folder / "index.json").unlink()
    theirs = opened(folder)
    assert theirs.class_names == ("0", "1", "2")
    assert (theirs.labels == ours.labels).all() and (theirs.images[:] == ours.images[:]).all()


def test_the_index_is_made_once_and_follows_changes(tmp_path):
    tar = write_tar(tmp_path / "set" / "a.tar", samples(3, cls=0))
    before = opened(tmp_path / "set").digest
    tar.chmod(0o644)
    assert opened(tmp_path / "set").digest == before
    write_tar(tar, samples(4, cls=0))
    assert len(opened(tmp_path / "set")) == 4


def test_the_index_follows_what_is_replaced_on_a_server(tmp_path, caplog):
    write_tar(tmp_path / "set" / "a.tar", sample(0, cls=1))
    other = write_tar(tmp_path / "b.tar", sample(0, cls=2)).read_bytes()
    with serving(tmp_path / "set") as server:
        address = f"{server.address}/a.tar"
        assert opened(address).class_names == opened(address).class_names == ("1",)
        assert [name for name in server.asked if name.endswith(".tar")] == ["set/a.tar"]
        server.files["set/a.tar"] = other
        assert opened(address).class_names == ("2",)
        assert not caplog.text
    assert find_shards(address).index.class_names == ("2",)
    assert "not reachable, the index made before is used" in caplog.text


@pytest.mark.parametrize(
    ("says", "known"), [({"HEAD"}, "known by their size alone"), (set(), "not noticed")]
)
def test_a_server_that_does_not_say_when_files_change(tmp_path, caplog, says, known):
    write_tar(tmp_path / "set" / "a.tar", sample(0, cls=1))
    with serving(tmp_path / "set") as server:
        server.says = says
        for _ in range(2):
            opened(f"{server.address}/a.tar")
    assert caplog.text.count(f"replaced ones are {known}") == 1


def test_the_index_follows_the_list_of_names(tmp_path):
    write_tar(tmp_path / "set" / "a.tar", [*sample(0, cls=1), *sample(1, cls=0)])
    for names in ("tench\ngoldfish\n", "cat\ngoldfish\n"):
        (tmp_path / "set" / "classnames.txt").write_text(names)
        assert opened(tmp_path / "set").class_names == tuple(names.split())


@pytest.mark.parametrize("damaged", ["train.members", "index.json"])
def test_a_damaged_index_is_made_again(tmp_path, damaged, caplog):
    write_tar(tmp_path / "set" / "a.tar", samples(3, cls=0))
    before = opened(tmp_path / "set").digest
    (file,) = shards_folder().glob(f"indexes/*/{damaged}")
    for content in (b"", file.read_bytes()[:-2] + b"xx"):
        file.write_bytes(content)
        assert opened(tmp_path / "set").digest == before
        assert len(opened(tmp_path / "set").images[:]) == 3
    assert caplog.text.count("indexing again, since the index is unfit") == 2


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "file" / "cache"))
    write_tar(tmp_path / "set" / "a.tar", samples(3, cls=0))
    for _ in range(2):
        assert len(opened(tmp_path / "set").images[:]) == 3
    assert caplog.text.count("the index of shards is kept in memory") == 1


def test_what_is_being_indexed_is_no_copy_that_may_go(tmp_path):
    write_tar(tmp_path / "set" / "a.tar", sample(0, cls=1))
    with serving(tmp_path / "set") as server, finding._fetched(server.address, "a.tar") as path:
        limit = path.stat().st_size
        room = shards_folder() / "other" / "b.tar.room"
        room.parent.mkdir()
        other = Shard("b.tar", 1, limit, "0" * 64)
        assert ShardCache("http://x", "other")._has_room(other, room, limit)
        assert path.is_file()
    assert not path.exists() and not list(shards_folder().glob("indexes/.*"))


def test_images_that_cannot_be_used_are_left_out(tmp_path, caplog):
    members = samples(40, cls=0)
    write_tar(
        tmp_path / "set" / "a.tar", [*members, ("50.png", picture(50)[:200]), ("50.cls", b"0")]
    )
    assert len(opened(tmp_path / "set")) == 40
    assert "1 image of the shards cannot be used" in caplog.text
    write_tar(tmp_path / "set" / "a.tar", [*members, *samples(5)][:90])
    with pytest.raises(DataError, match=r"no class: neither .cls nor"):
        write_tar(tmp_path / "set" / "a.tar", [*sample(0, cls=0), *sample(1)])
        opened(tmp_path / "set")


def test_sorted_shards_are_noted(tmp_path, caplog):
    for label in range(8):
        members = [m for k in range(12) for m in sample(label * 20 + k, cls=label)]
        write_tar(tmp_path / "set" / f"{label}.tar", members)
    opened(tmp_path / "set")
    assert "a shard has 1 of 8 classes on average" in caplog.text


def test_classes_that_cannot_be_told(tmp_path):
    write_tar(tmp_path / "a" / "a.tar", [*sample(0, cls=0), *sample(1, cls="cat")])
    with pytest.raises(DataError, match="some images have a number"):
        opened(tmp_path / "a")
    two = [*sample(0, cls=0, facts={"class": "cat"}), *sample(1, cls=0, facts={"class": "dog"})]
    write_tar(tmp_path / "b" / "a.tar", two)
    with pytest.raises(DataError, match="class 0 is called 'cat' and 'dog'"):
        opened(tmp_path / "b")


def link(kind, name="link.png", to="/etc/passwd"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def pretended(size, kind=tarfile.REGTYPE, name="1.png"):
    """A header that promises more than there is."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


HOSTILE = {
    "symlink": ([link(tarfile.SYMTYPE)], "is a link"),
    "hard link": ([link(tarfile.LNKTYPE)], "is a link"),
    "device": ([link(tarfile.CHRTYPE, "dev.png", "")], "is a link, a device"),
    "pipe": ([link(tarfile.FIFOTYPE, "pipe.png", "")], "is a link, a device"),
    "absolute": ([("/etc/cron.d/x.png", b"x")], "leads outside"),
    "upwards": ([("a/../../x.png", b"x")], "leads outside"),
    "backslash": ([("..\\x.png", b"x")], "leads outside"),
    "twice": ([*sample(1), ("1.png", b"x")], "1.png' is there twice"),
    "label": ([*sample(1), ("1.cls", b"1" * 2_000_000)], "names a class in 2,000,000 bytes"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_members(tmp_path, case):
    members, said = HOSTILE[case]
    write_tar(tmp_path / "set" / "a.tar", [*sample(0, cls=0), *members])
    with pytest.raises(DataError, match=rf"a.tar: refused: .*{said}"):
        opened(tmp_path / "set")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "set"]


def pax(size):
    """A header of another size for the member that follows, and that member."""
    info = tarfile.TarInfo("1.png")
    info.size = 512
    record = f"{len(str(size)) + 9} size={size}\n".encode()
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, len(record)
    return head.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0") + info.tobuf()


def negative():
    """A header whose own number of bytes is below zero, which GNU's base 256 can say."""
    header = bytearray(tarfile.TarInfo("1.png").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (256**12 - 1024).to_bytes(12, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


HEADERS = {
    "back to the first member": (
        tarfile.TarInfo("0.txt").tobuf() + pax(-1536),
        "1.png' has -1,536",
    ),
    "back to itself": (pax(-512), "1.png' has -512"),
    "before the file": (pax(-4096), "1.png' has -4,096"),
    "below zero": (negative(), "1.png' has -1,024"),
    "headers of headers": (pax(512)[:1024] * 2000, "tar file"),
    "huge member": (pretended(2**34), "at most"),
    "end within a member": (pretended(10_000), "the file ends within"),
    "bomb of a header": (pretended(2**33, tarfile.XHDTYPE), "a header of"),
    "bomb of a name": (pretended(2**33, tarfile.GNUTYPE_LONGNAME), "a header of"),
    "no tar": (b"x" * 3000, "tar file"),
    "compressed": (b"\x1f\x8b" + b"\0" * 2000, "tar file"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_hostile_headers_in_bounded_memory(tmp_path, case):
    content, said = HEADERS[case]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.tar").write_bytes(content + b"\0" * 1024)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=rf"a.tar: .*{said}"):
            opened(tmp_path / "set")
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cut", [0, 300])
def test_a_tar_file_cut_between_its_members(tmp_path, cut):
    tar = write_tar(tmp_path / "set" / "a.tar", samples(4, cls=0))
    with tarfile.open(tar) as opened_tar:
        end = opened_tar.getmembers()[6].offset
    tar.write_bytes(tar.read_bytes()[: end + cut])
    with pytest.raises(DataError, match=rf"a.tar: refused: it is cut off or damaged after {end:,}"):
        opened(tmp_path / "set")


def test_a_label_is_parsed_once_for_all_images_of_a_sample(tmp_path, monkeypatch):
    from reacgan.data.shards import foreign

    parsed = []
    parse = foreign.parse_json
    monkeypatch.setattr(foreign, "parse_json", lambda text: parsed.append(text) or parse(text))
    forms = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "bmp": "BMP"}
    members = [(f"1.{suffix}", picture(1, form=form)) for suffix, form in forms.items()]
    write_tar(tmp_path / "set" / "a.tar", [*members, ("1.json", b'{"label": 2}')])
    assert opened(tmp_path / "set").labels.tolist() == [0] * 4
    assert len(parsed) == 1


def test_an_image_that_unpacks_to_gigabytes(tmp_path):
    buffer = io.BytesIO()
    Image.new("1", (12_000, 9_000)).save(buffer, "PNG")
    members = [("0.png", buffer.getvalue()), ("0.cls", b"0")]
    write_tar(tmp_path / "set" / "a.tar", members)
    with pytest.raises(DataError, match="more than 64000000 pixels"):
        opened(tmp_path / "set")


@pytest.mark.parametrize(
    "facts", [b"[" * 100_000, b"{", b"\xff", b'{"label": ' + b"9" * 5000 + b"}", b'{"class": ""}']
)
def test_json_that_says_nothing(tmp_path, facts):
    write_tar(tmp_path / "set" / "a.tar", [("0.png", picture(0)), ("0.json", facts)])
    with pytest.raises(DataError, match="no class"):
        opened(tmp_path / "set")


def test_flips_and_cuts(tmp_path):
    """Whatever a tar file has become: another index, or an error of ours."""
    tar = write_tar(tmp_path / "set" / "a.tar", samples(4, cls=0))
    whole = tar.read_bytes()[:12_000]
    chance = np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(whole)
        for place in chance.integers(0, len(content), 3):
            content[place] ^= 1 << int(chance.integers(8))
        tar.write_bytes(bytes(content[: int(chance.integers(1, len(content)))]))
        try:
            data = opened(tmp_path / "set")
        except ConfigError:
            continue
        assert data.images[:].shape == (len(data), 3, 16, 16)


def test_what_is_no_set_of_shards(tmp_path):
    (tmp_path / "empty").mkdir()
    assert find_dataset(str(tmp_path / "empty")).name == "folder"
    write_tar(tmp_path / "classes" / "cat" / "a.tar", [])
    write_tar(tmp_path / "classes" / "b.tar", [])
    assert find_dataset(str(tmp_path / "classes")).name == "folder"
    for place, said in (
        ("nowhere", "no such folder"),
        ("empty", "neither an index.json nor tar files"),
        ("x{9..2}.tar", "names no shards"),
    ):
        config = find_dataset(str(tmp_path / "empty")).model_copy(
            update={"name": "shards", "path": str(tmp_path / place)}
        )
        from reacgan.data import open_dataset

        with pytest.raises(DataError, match=said):
            open_dataset(config)
