"""What other tools read of a log: each report, sheet and score with the images seen."""

from __future__ import annotations

import csv
import json
import time

LOSS = "d/adversarial"
BLOCK = 32768


def read_csv(folder):
    def rows(name):
        with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    return {
        "reports": [(int(row["images_seen"]), float(row[LOSS])) for row in rows("reports")],
        "sheets": [
            int(row["images_seen"]) for row in rows("sheets") if row["picture"] == "samples"
        ],
        "scores": [
            (
                row["score"],
                int(row["images_seen"]),
                float(row["value"]),
                json.loads(row["protocol"]),
            )
            for row in rows("scores")
        ],
    }


def accumulated(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    keep_all = dict.fromkeys(("scalars", "images", "tensors"), 0)
    return EventAccumulator(str(folder), size_guidance=keep_all).Reload()


def read_tensorboard(folder):
    events = accumulated(folder)
    tags = events.Tags()
    scores = []
    for tag in tags["scalars"]:
        if tag.startswith(("score/", "best/", "evaluated/")) and tag.count("/") == 1:
            texts = {
                event.step: event.tensor_proto.string_val[0]
                for event in events.Tensors(f"{tag}/protocol/text_summary")
            }
            for point in events.Scalars(tag):
                protocol = json.loads(texts[point.step])
                scores.append((tag, point.step, round(point.value, 4), protocol))
    shown = events.Images("samples") if "samples" in tags["images"] else []
    return {
        "reports": [(point.step, round(point.value, 4)) for point in events.Scalars(LOSS)],
        "sheets": [image.step for image in shown],
        "scores": scores,
    }


def records(path):
    """Records of a recording: LevelDB's log format, in which wandb's own messages stand."""
    from wandb.proto.wandb_internal_pb2 import Record

    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, message = 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        if kind == 0:
            at += BLOCK - at % BLOCK
            continue
        message += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield Record.FromString(message)
            message = b""


def recordings(folder):
    return sorted(folder.glob("wandb/*run-*/run-*.wandb"))


def is_ended(path):
    from google.protobuf.message import DecodeError

    try:
        return any(record.WhichOneof("record_type") == "exit" for record in records(path))
    except DecodeError:  # its last record is being written
        return False


def read_wandb(folder):
    (path,) = recordings(folder)
    until = time.monotonic() + 20  # its process writes on for some milliseconds after the run's end
    while not is_ended(path) and time.monotonic() < until:
        time.sleep(0.02)
    read = {"reports": [], "sheets": [], "scores": []}
    protocols = {}
    for record in records(path):
        for update in record.run.config.update:
            protocols[update.key] = json.loads(update.value_json)
        for update in record.config.update:
            protocols[update.key or "/".join(update.nested_key)] = json.loads(update.value_json)
        row = {
            "/".join(item.nested_key) if item.nested_key else item.key: json.loads(item.value_json)
            for item in record.history.item
        }
        for name, value in row.items():
            if name == LOSS:
                read["reports"].append((row["images_seen"], value))
            elif name == "samples/path":
                assert (path.parent / "files" / value).is_file()
                read["sheets"].append(row["images_seen"])
            elif name.startswith(("score/", "best/", "evaluated/")):
                protocol = protocols.get(f"protocol/{name}")
                read["scores"].append((name, row["images_seen"], value, protocol))
    return read


READERS = {"csv": read_csv, "tensorboard": read_tensorboard, "wandb": read_wandb}
