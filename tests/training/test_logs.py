"""Logs for other tools, read by these tools: nothing twice, nothing lost, however a run went."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading

import pytest
from log_readers import LOSS, READERS, accumulated, read_csv, recordings
from PIL import Image
from tiny import experiment, images

import reacgan as package
from reacgan.config import ConfigError
from reacgan.evaluation import Score, append_scores
from reacgan.files import write_text
from reacgan.training.logs import LOGS, fill_logs, open_logs


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """No login of the machine's, and nothing in its home."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "home"))


class Run:
    """What a run leaves in its folder, and tells its log: sheets and scores each 200 images."""

    def __init__(self, folder, name):
        self.folder, self.name, self.log, self.seen = folder, name, None, 0
        (folder / "samples").mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(folder / "samples" / "real.png")
        self.reports, self.sheets, self.scores = [], [], []

    def begin(self, seen=None, *, log=True):
        if seen is not None:
            self._take_back(seen)
        (self.log,) = open_logs(self.name) if log else (None,)
        if self.log is not None:
            self.log.on_begin(experiment(), self.folder, self.seen)
        return self

    def back(self, seen):
        self._take_back(seen)
        self.log.on_back(seen)
        return self

    def go(self, until, value):
        for seen in range(self.seen + 100, until + 1, 100):
            self.seen = seen
            record = {
                "images_seen": seen,
                "images_per_second": 5.0,
                LOSS: value,
                "event_free": True,
            }
            if seen % 300 == 0:
                record["watch"] = {"fake_variety": 0.5}
            with (self.folder / "journal.jsonl").open("a") as file:
                file.write(json.dumps(record) + "\n")
            self.reports.append((seen, value))
            if self.log is not None:
                self.log.on_report(record)
            if seen % 200 == 0:
                self._sheet(seen)
                self._score(seen, "each", value)
        return self

    def end(self):
        if self.log is not None:
            self.log.close()
        return self

    def _sheet(self, seen):
        path = self.folder / "samples" / f"{seen:012d}.png"
        Image.new("RGB", (8, 8), "blue").save(path)
        self.sheets.append(seen)
        if self.log is not None:
            self.log.on_sheet(path, seen)

    def _score(self, seen, checkpoint, value):
        selection = {"checkpoint": checkpoint, "during": "training"}
        protocol = {"selection": selection, "fake": {"images": seen}}
        score = Score("fid", value, "lower", protocol, images_seen=seen)
        append_scores(self.folder / "scores.jsonl", [score])
        self.scores.append(("score/fid", seen, value, protocol))
        if self.log is not None:
            self.log.on_score(score)

    def _take_back(self, seen):
        """As training does."""
        path, scores = self.folder / "journal.jsonl", self.folder / "scores.jsonl"
        for file in (path, scores):
            kept = [
                line
                for line in file.read_text().splitlines()
                if json.loads(line)["images_seen"] <= seen
            ]
            write_text(file, "".join(f"{line}\n" for line in kept))
        self.seen = seen
        self.reports = [one for one in self.reports if one[0] <= seen]
        self.sheets = [one for one in self.sheets if one <= seen]
        self.scores = [one for one in self.scores if one[1] <= seen]

    def check(self):
        read = READERS[self.name](self.folder / "logs" / self.name)
        assert read["reports"] == self.reports
        assert sorted(read["sheets"]) == self.sheets
        assert [one[:3] for one in read["scores"]] == [one[:3] for one in self.scores]
        if self.name != "wandb":
            assert [one[3] for one in read["scores"]] == [one[3] for one in self.scores]
        elif self.scores:
            assert read["scores"][-1][3] == self.scores[-1][3]


WAYS = {
    "straight": lambda run: run.begin().go(600, 1.0),
    "resumed": lambda run: run.begin().go(400, 1.0).end().begin().go(700, 2.0),
    "from an earlier state": lambda run: run.begin().go(500, 1.0).end().begin(300).go(600, 2.0),
    "went back": lambda run: run.begin().go(500, 1.0).back(200).go(400, 2.0).back(300).go(500, 3.0),
    "added later": lambda run: run.begin(log=False).go(400, 1.0).begin().go(500, 2.0),
    "left out once": lambda run: (
        run.begin().go(300, 1.0).end().begin(log=False).go(600, 2.0).begin().go(700, 3.0)
    ),
    "from before all": lambda run: run.begin().go(300, 1.0).end().begin(0).go(400, 2.0),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["csv", "tensorboard"])
def test_nothing_is_lost_and_nothing_is_there_twice(name, way, tmp_path):
    run = Run(tmp_path / "run", name)
    WAYS[way](run).end().check()


@pytest.mark.parametrize("way", ["left out once", "went back"])
def test_of_wandb_too(way, tmp_path):
    run = Run(tmp_path / "run", "wandb")
    WAYS[way](run).end().check()
    (path,) = recordings(tmp_path / "run" / "logs" / "wandb")
    assert path.parent.name.startswith("offline-run-")  # as there is no login


@pytest.mark.parametrize("name", ["csv", "tensorboard"])
def test_what_was_written_and_not_noted_before_a_kill_is_not_there_twice(name, tmp_path):
    run = Run(tmp_path / "run", name).begin().go(300, 1.0)
    marks = run.folder / "logs" / name / ".logged.json"
    before = marks.read_text()
    run.go(400, 9.0)
    marks.write_text(before)
    if name == "csv":
        with (run.folder / "logs" / "csv" / "reports.csv").open("a") as file:
            file.write("50")
    run.end().begin().go(500, 2.0).end().check()


def test_csv_gets_columns_as_they_come(tmp_path):
    run = Run(tmp_path / "run", "csv").begin().go(400, 1.0).end()
    with (run.folder / "logs" / "csv" / "reports.csv").open() as file:
        assert file.readline().split(",")[:3] == ["images_seen", "images_per_second", LOSS]
        rows = file.read().splitlines()
    assert [row.split(",")[3].strip() for row in rows] == ["", "", "0.5", ""]


def test_tensorboard_is_written_anew_where_a_file_is_from_the_future(tmp_path):
    run = Run(tmp_path / "run", "tensorboard").begin().go(300, 1.0).end()
    (first,) = (run.folder / "logs" / "tensorboard").glob("events.*")
    first.rename(first.with_name(first.name.replace("tfevents.1", "tfevents.9")))
    run.begin(200).go(500, 2.0).end().check()
    assert len(list((run.folder / "logs" / "tensorboard").glob("events.*"))) == 1


def test_tensorboard_has_hyperparameters_and_pictures(tmp_path):
    run = Run(tmp_path / "run", "tensorboard").begin().go(300, 1.0).end()
    events = accumulated(run.folder / "logs" / "tensorboard")
    tags = events.Tags()
    assert {"watch/fake_variety", "images_per_second"} < set(tags["scalars"])
    assert [image.step for image in events.Images("real")] == [0]
    assert (events.Images("samples")[0].width, events.Images("samples")[0].height) == (8, 8)
    text = events.Tensors("experiment/text_summary")[0].tensor_proto.string_val[0]
    assert json.loads(text)["training"]["batch"] == 8
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    data = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = HParamsPluginData.FromString(data).session_start_info.hparams
    assert values["training.batch"].number_value == 8 and values["model.head.name"].string_value


def test_wandb_can_send_the_recording_and_sends_nothing_by_itself(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        came = []
        server.settimeout(0.2)

        def listen():
            while not done.is_set():
                try:
                    came.append(server.accept())
                except OSError:  # nobody came
                    continue

        done = threading.Event()
        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "WANDB_BASE_URL"):
            monkeypatch.setenv(name, address)
        try:
            Run(tmp_path / "run", "wandb").begin().go(200, 1.0).end()
        finally:
            done.set()
            listener.join()
    assert came == []
    folder = recordings(tmp_path / "run" / "logs" / "wandb")[0].parent
    command = [sys.executable, "-m", "wandb", "sync", "--dry-run", str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert folder.name in said.stdout + said.stderr


@pytest.mark.parametrize(
    ("mode", "key", "expected"),
    [("", "", "offline"), ("", "k" * 40, "online"), ("dryrun", "k" * 40, "offline"),
     ("disabled", "", "disabled")],
)  # fmt: skip
def test_the_mode_of_wandb(mode, key, expected, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setenv("WANDB_API_KEY", key)
    assert open_logs("wandb")[0].mode == expected


def test_wandb_never_asks(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(ConfigError, match="no login: run `wandb login`, or set WANDB_MODE=offline"):
        open_logs("wandb")
    monkeypatch.setenv("WANDB_MODE", "onlin")
    with pytest.raises(ConfigError, match="WANDB_MODE is 'onlin'; allowed: online, offline"):
        open_logs("wandb")


def test_a_run_with_a_log_has_the_same_bits_and_its_own_numbers(tmp_path):
    from test_resume import assert_same_bits, state_of

    data, settings = images(), experiment(**{"training.images": 64, "report.samples_every": 32})
    train = lambda out, **more: package.train(  # noqa: E731
        settings, out, device="cpu", data=data, quiet=True, **more
    )
    train(tmp_path / "plain")
    result = train(tmp_path / "logged", log=("csv", "tensorboard"))
    assert_same_bits(state_of(tmp_path / "plain"), state_of(tmp_path / "logged"))
    for name in ("csv", "tensorboard"):
        read = READERS[name](tmp_path / "logged" / "logs" / name)
        expected = [
            (record["images_seen"], pytest.approx(record[LOSS], abs=1e-4))
            for record in result.history
        ]
        assert read["reports"] == expected and read["sheets"] == [32, 64]


def test_on_the_command_line(run_folder, reacgan, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    words = json.loads((run / "environment.json").read_text())["command"]
    assert words
    code, _, err = reacgan("train", "digits/reacgan", "--log", "tensorbord", "--out", run)
    assert code == 2 and "tensorboard" in err
    from commands import TINY

    code, _, err = reacgan(
        "train", "digits/reacgan", "--images", "256", "--out", run, "--quiet", "--log", "csv", *TINY
    )
    assert code == 0, err
    reports = read_csv(run / "logs" / "csv")["reports"]
    assert [seen for seen, _ in reports] == [
        record["images_seen"] for record in package.journal(run)
    ]


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_log_without_its_library_says_how_to_get_it(name, monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=rf"pip install 'reacgan\[{name}\]'"):
        package.train(experiment(), tmp_path / "run", data=images(), log=name)
    assert not (tmp_path / "run").exists()


def test_an_unknown_log():
    with pytest.raises(ConfigError, match="unknown log 'tensorbord'; did you mean 'tensorboard'"):
        open_logs("tensorbord")
    assert list(LOGS) == ["tensorboard", "wandb", "csv"]


@pytest.mark.parametrize("name", ["csv", "tensorboard"])
def test_a_score_of_evaluate_is_in_the_log_at_once(name, tmp_path):
    """As ``reacgan evaluate RUN`` leaves it: a further line of scores, and no training."""
    run = Run(tmp_path / "run", name).begin().go(400, 1.0)
    run.end()
    write_text(run.folder / "experiment.json", experiment().to_json())
    logs = run.folder / "logs" / name
    before = READERS[name](logs)
    protocol = {"selection": {"checkpoint": "last"}, "reference": {"images": 7}}
    score = Score("fid", 4.5, "lower", protocol, subject="run", images_seen=400)
    append_scores(run.folder / "scores.jsonl", [score])
    for _ in range(2):  # the second time there is nothing new
        fill_logs(run.folder)
    after = READERS[name](logs)
    assert [each for each in after["scores"] if each not in before["scores"]] == [
        ("evaluated/fid", 400, 4.5, protocol)
    ]
    assert len(after["scores"]) == len(before["scores"]) + 1
    assert (after["reports"], after["sheets"]) == (before["reports"], before["sheets"])


def test_logs_that_are_not_there_are_not_made(tmp_path):
    fill_logs(tmp_path)
    assert not any(tmp_path.iterdir())
