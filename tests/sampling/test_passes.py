"""Forward passes for many images: precision, weights worked out once, passes that are recorded."""

from __future__ import annotations

import pytest
import torch

from reacgan.config import ConfigError
from reacgan.evaluation.sources import GeneratorSource
from reacgan.evaluation.targets import GeneratorTarget
from reacgan.models.trained import TrainedState
from reacgan.randomness import Draws
from reacgan.sampling import Passes, SamplingSettings, chunk_size, generate, latents_for, sample
from reacgan.sampling.passes import PROOFS
from waiting import Operations

DEFAULT = SamplingSettings()


class Repeated:
    """Repeats what was captured by running it again; ``broken``: what it gives from the third time on."""

    def __init__(self, broken=None, after=0):
        self.broken, self.after, self.times = broken, after, 0

    def capture(self, work):
        self.work, self.output = work, work().clone()
        return self.output

    def replay(self):
        self.times += 1
        self.output.copy_(self.work())
        if self.broken is not None and self.times > self.after:
            self.broken(self.output)


@pytest.fixture(scope="module")
def model(untrained):
    return untrained(8, 3, 8, tuple("abcdef"))


def asked(model, count):
    return latents_for(list(range(count)), model.latent_dim), torch.arange(count) % 6


def test_latents_are_the_draws_of_their_seeds():
    seeds = [0, 7, 10**9]
    made = latents_for(seeds, 33)
    drawn = torch.cat([Draws(seed, "sample", 0).uniform(1, 33) for seed in seeds]).double()
    assert torch.equal(made, (2**0.5 * torch.erfinv(2 * (drawn + 2.0**-25) - 1)).float())


def test_recorded_passes_make_the_same_images(model):
    z, labels = asked(model, 16 * 6 + 5)
    plain = generate(model.generator, z, labels)
    recordings = []
    passes = Passes(
        model.generator, DEFAULT, recorder=lambda: recordings.append(Repeated()) or recordings[-1]
    )
    assert torch.equal(passes.images(z, labels), plain)
    assert len(recordings) == 1 and passes.off is None
    assert passes.replayed == 7 - 1 - PROOFS  # the first is plain, then both ways
    mixed = torch.eye(6)[labels]  # another course: labels are weights
    assert torch.equal(passes.images(z, mixed), generate(model.generator, z, mixed))
    assert len(recordings) == 2


def once_wrong(output):
    output[3] += 1


@pytest.mark.parametrize("after", [0, 1])
def test_a_recorded_pass_that_differs_is_given_up(model, caplog, after):
    z, labels = asked(model, 16 * 5)
    passes = Passes(model.generator, DEFAULT, recorder=lambda: Repeated(once_wrong, after))
    assert torch.equal(passes.images(z, labels), generate(model.generator, z, labels))
    assert passes.replayed == 0
    assert passes.off is not None and "1 of 3,088 values of the recorded pass differ" in passes.off
    assert caplog.text.count("sampling goes on without a recorded pass") == 1


def test_what_cannot_be_recorded_is_made_plainly(model, caplog):
    class Refuses(Repeated):
        def capture(self, work):
            raise RuntimeError("operation not permitted\nwhen stream is capturing")

    z, labels = asked(model, 16 * 4)
    passes = Passes(model.generator, DEFAULT, recorder=Refuses)
    assert torch.equal(passes.images(z, labels), generate(model.generator, z, labels))
    assert passes.off == "RuntimeError: operation not permitted" and passes.off in caplog.text


def test_weights_are_worked_out_once(model):
    z, labels = asked(model, 16)
    passes = Passes(model.generator, DEFAULT)
    seen = []
    for _ in range(2):
        with Operations() as operations:
            images = passes.images(z, labels)
        seen.append(operations.names)
    assert {"mv", "dot"} <= set(seen[0]) and not {"mv", "dot", "div"} & set(seen[1])
    assert len(seen[1]) < len(seen[0]) / 2
    with torch.inference_mode(), Operations() as operations:  # the generator is as it was
        model.generator(z, labels)
    assert operations.names.count("mv") == seen[0].count("mv")
    assert torch.equal(images, generate(model.generator, z, labels))


def test_weights_that_change_between_calls_are_seen(untrained):
    model = untrained(8, 3, 8, tuple("abcdef"))
    z, labels = asked(model, 16)
    before = generate(model.generator, z, labels)
    with torch.no_grad():
        model.generator.output.weight.copy_(model.generator.output.weight.flip(0))
    assert not torch.equal(generate(model.generator, z, labels), before)


def test_bfloat16_is_near_and_one_seed_is_one_image(model):
    z, labels = asked(model, 40)
    exact = generate(model.generator, z, labels).int()
    low = generate(model.generator, z, labels, precision="bfloat16")
    apart = (low.int() - exact).abs()
    assert 0 < apart.float().mean() < 8
    (alone,) = sample(model, "c", 1, seed=2, precision="bfloat16")
    assert torch.equal(alone.image, low[2])


def test_auto_is_float32_on_a_cpu(model):
    z, labels = asked(model, 3)
    automatic = generate(model.generator, z, labels, precision="auto")
    assert torch.equal(automatic, generate(model.generator, z, labels))
    with pytest.raises(ConfigError, match="precision is 'half'; allowed: auto, float32, bfloat16"):
        SamplingSettings(precision="half")


@pytest.mark.parametrize("precision", [None, "auto", "float32", "bfloat16"])
def test_a_protocol_says_another_precision_than_float32(model, precision):
    target = GeneratorTarget(TrainedState("it", model))
    from reacgan.evaluation.reference import open_reference

    source, facts = target.resolved(
        SamplingSettings(statistics="moving", precision=precision), 6, open_reference("digits")
    )
    assert source.settings.precision == ("bfloat16" if precision == "bfloat16" else "float32")
    assert facts.generator.get("precision") == ("bfloat16" if precision == "bfloat16" else None)


def test_parts_smaller_than_a_pass_come_from_one_pass(model, monkeypatch):
    labels = torch.arange(130) % 6
    direct = GeneratorSource(model, labels).part(0, 130)[0]
    monkeypatch.setattr("reacgan.sampling.passes.chunk_size", lambda device, pixels: 48)
    source = GeneratorSource(model, labels)
    made = []
    monkeypatch.setattr(
        source, "_made", lambda *span, make=source._made: made.append(span) or make(*span)
    )
    parts = [source.part(start, min(start + 20, 130)) for start in range(0, 130, 20)]
    assert torch.equal(torch.cat([images for images, _ in parts]), direct)
    assert torch.equal(torch.cat([classes for _, classes in parts]), labels)
    assert [start for start, _ in made] == [0, 48, 96]


def test_a_pass_on_a_gpu_has_a_size_by_its_pixels(model):
    gpu = torch.device("cuda")
    assert chunk_size(torch.device("cpu"), 32 * 32) == 16
    if not torch.cuda.is_available():
        sizes = [chunk_size(gpu, side * side) for side in (8, 32, 64, 96, 128, 256, 1024)]
        assert sizes == [1024, 1024, 256, 112, 64, 16, 16]
    assert chunk_size(gpu) == 64 and model.generator.pixels == 64


def test_a_published_protocol_has_float32():
    from reacgan.evaluation.scoring import Request

    assert Request(protocol="paper").with_protocol().sampling.precision == "float32"
    with pytest.raises(ConfigError, match="precision is bfloat16, but the protocol 'paper' has"):
        Request(protocol="paper", sampling=SamplingSettings(precision="bfloat16")).with_protocol()
