"""Steps replayed from recordings are the plain steps; what cannot be recorded stays plain."""

from __future__ import annotations

import pytest
import torch
from members import begin_adapted, every_case
from recorded import Broken, Inexact, Large, Rerun, Stale
from tiny import experiment, images

from reacgan.assembly import complete
from reacgan.randomness import Draws
from reacgan.training.engine import Engine
from reacgan.training.execution.cuda_graphs import CudaGraphs, lacking
from reacgan.training.execution.recorded_draws import Recording
from reacgan.training.execution.verify import TOLERANCE, _difference
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.speed import why_no_cuda_graphs
from reacgan.training.state import TrainState

CASES = {
    name: changes for name, changes in every_case().items() if "training.accumulate" not in changes
}


def trainer_for(**changes):
    settings = complete(experiment(**{"training.d_steps": 1, **changes}))
    engine, data = Engine.of(settings, "cpu"), images()
    state = TrainState.build(settings, data.num_classes, engine)
    begin_adapted(state.adaptive)
    return Trainer(settings, state, data, engine)


def replaying(recorder=Rerun, times_met=0, **changes):
    """A trainer whose steps are replayed, and the recorders that it made."""
    trainer, made = trainer_for(**changes), []

    def make():
        made.append(recorder())
        return made[-1]

    state = trainer.state
    modules = (state.generator, state.discriminator, state.adaptive)
    trainer.ways.graphs = CudaGraphs(
        modules, trainer.engine.precision, recorder=make, times_met=times_met
    )
    trainer.ways._way = trainer.ways.graphs.run
    return trainer, made


def same_bits(one, other):
    expected = other.state.tensors()
    for part, tensors in one.state.tensors().items():
        for name, value in tensors.items():
            assert torch.equal(value, expected[part][name]), f"{part}/{name}"


def compare(trainer, plain, cycles):
    journals = Journal(None, 0), Journal(None, 0)
    for _ in range(cycles):
        trainer.cycle(journals[0])
        plain.cycle(journals[1])
    same_bits(trainer, plain)
    seen = plain.state.images_seen
    assert journals[0].read(seen) == journals[1].read(seen)


@pytest.mark.parametrize("case", CASES)
def test_a_replayed_step_has_the_bits_of_a_plain_one(case):
    """For every member of every family: recorded in the first cycle, proven, and replayed alone."""
    trainer, made = replaying(**CASES[case])
    compare(trainer, trainer_for(**CASES[case]), 3)
    held = trainer.ways.graphs
    assert held.off is None
    assert all(one.captures == 1 for one in made)
    # While labels gain influence, each step has a course of its own.
    assert held.replayed == (0 if case == "transition" else 1 if case == "top_k" else 2)


def test_a_course_is_recorded_once_it_was_met_twice():
    trainer, made = replaying(times_met=2)
    for cycle in range(5):
        trainer.cycle(Journal(None, 0))
        assert len(made) == (0 if cycle < 2 else 2)
    assert trainer.ways.graphs.replayed == 2


def test_a_lazy_term_has_a_recording_of_its_own():
    changes = {"penalties": {"r1": {"every": 3}}}
    trainer, made = replaying(**changes)
    compare(trainer, trainer_for(**changes), 9)
    assert len(made) == 3  # a D step with r1 and without; a G step never has it
    assert trainer.ways.graphs.replayed == 18 - 2 * 3


@pytest.mark.parametrize(
    ("recorder", "reason"),
    [
        (Broken, "RuntimeError: operation not permitted when stream is capturing"),
        (Stale, "state of the step differ"),
        (Large, "a recorded step keeps 3.0 GiB for itself, and 1.0 are free"),
        (Inexact, "gradients of the step differ from the plain step's by 0.001"),
    ],
)
def test_a_recording_that_fails_is_given_up_without_a_trace(recorder, reason):
    trainer, _ = replaying(recorder)
    told = []
    trainer.say = told.append
    compare(trainer, trainer_for(), 3)
    assert reason in trainer.ways.graphs.off
    assert trainer.ways.graphs.replayed == 0
    assert len(told) == 1
    assert "\n" not in told[0]


@pytest.mark.parametrize("wrong", [None, 0.0, 1.01])
def test_a_small_tensor_counts_as_much_as_a_large_one(wrong):
    """Missing or 1 % off, it is seen beside others that are ten thousand times as long."""
    expected = [torch.full((1000,), 10.0), torch.full((3,), 1e-1), torch.full((50,), 5.0)]
    given = [tensor.clone() for tensor in expected]
    if wrong is not None:
        given[1] *= wrong
    found = _difference({"gradients": (expected, given)}, TOLERANCE["float32"])
    assert (found is None) == (wrong is None)


def test_what_was_given_up_is_in_the_journal(tmp_path):
    trainer, _ = replaying(Broken)
    trainer.cycle(Journal(tmp_path / "journal.jsonl", 0))
    assert "not permitted" in (tmp_path / "journal.jsonl").read_text()


def test_draws_are_made_again_in_place():
    def source(moment):
        return lambda stream: Draws(0, stream, moment)

    def used(draws):
        first, again = draws("a"), draws("a")
        return [
            first.normal(3, 2, dtype=torch.float64),
            first.uniform(3, low=-1, high=2),
            again.normal(3, 2, dtype=torch.float64),
            draws("b").integers(3, 1, low=-2, high=5),
        ]

    recording = Recording(source(0))
    held = used(recording.draws)
    for moment in (0, 8):
        recording.rewind()
        recording.refill(source(moment))
        for one, other, true in zip(used(recording.draws), held, used(source(moment)), strict=True):
            assert one is other
            assert torch.equal(one, true)
            assert one.dtype == true.dtype


@pytest.mark.parametrize(
    "ask",
    [
        lambda draws: draws("b"),
        lambda draws: draws("a").normal(4),
        lambda draws: draws("a").uniform(3),
        lambda draws: [draws("a").normal(3), draws("a")],
    ],
)
def test_other_draws_than_the_recorded_ones_are_refused(ask):
    recording = Recording(lambda stream: Draws(0, stream, 0))
    recording.draws("a").normal(3)
    recording.rewind()
    with pytest.raises(RuntimeError, match="did not when it was recorded"):
        ask(recording.draws)


def test_why_steps_are_not_recorded():
    cuda = torch.device("cuda")
    tiny = experiment()
    assert why_no_cuda_graphs(tiny, cuda, 1) is None
    assert why_no_cuda_graphs(tiny, torch.device("cpu"), 1) == "needs cuda, not cpu"
    assert why_no_cuda_graphs(tiny, cuda, 2) == "several processes"
    parts = tiny.replace(**{"training.accumulate": 2})
    assert "parts" in why_no_cuda_graphs(parts, cuda, 1)
    assert why_no_cuda_graphs(tiny.replace(**{"data.resolution": 128}), cuda, 1) is None


def test_whether_memory_is_enough_for_a_recording():
    assert lacking(10 * 2**30, 12 * 2**30) is None
    assert lacking(10 * 2**30, 10 * 2**30) is not None


class Ragged(Rerun):
    """Adds up in another order each time, as a device does."""

    def replay(self):
        super().replay()
        for output in self._outputs:
            output.mul_(1 + 3e-4 * (2 * torch.rand(()) - 1))


def test_a_recording_may_differ_as_much_as_two_plain_steps_do():
    """Of a device whose plain steps differ by more than is allowed in any case."""

    def ragged(work):
        result = work.run()
        for parameter in work.parameters:
            parameter.grad = parameter.grad * (1 + 3e-4 * (2 * torch.rand(()) - 1))
        return result

    trainer, _ = replaying(Ragged)
    trainer.ways.graphs._plain = ragged
    for _ in range(3):
        trainer.cycle(Journal(None, 0))
    assert trainer.ways.graphs.off is None
    strict, _ = replaying(Ragged)
    for _ in range(3):
        strict.cycle(Journal(None, 0))
    assert "differ from the plain step's" in strict.ways.graphs.off
