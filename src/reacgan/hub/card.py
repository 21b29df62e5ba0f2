"""The card that goes with a shared generator."""

from __future__ import annotations

from reacgan.config.resolution import describe
from reacgan.models import count_parameters
from reacgan.models.trained import TrainedGenerator


def card(model: TrainedGenerator) -> str:
    """The model card: what it is, what it was trained on, how to use it."""
    experiment = model.experiment
    data = experiment.data
    names = ", ".join(model.class_names[:20]) + (" ..." if len(model.class_names) > 20 else "")
    first = model.class_names[0]
    return f"""---
library_name: reacgan
tags: [gan, class-conditional, {experiment.model.head.name}]
---
# {experiment.name}

A class-conditional generator: {describe(data.resolution)} pixels,
{data.channels} channel(s), {len(model.class_names)} classes,
{count_parameters(model.generator):,} parameters, trained until {model.images_seen:,} real
images had been seen (repeats counted; {data.name}; the images are not part of this model and keep
their own licence).

Classes: {names}

```python
import reacgan

model = reacgan.load(".")
for sample in reacgan.sample(model, {first!r}, num=4, seed=0):
    print(sample.class_name, sample.seed, sample.image.shape)
```

`config.json` holds the whole training configuration and the digest of the weights. These weights are
the exponential moving average of the generator's. No score is given here unless its protocol is
given with it.
"""
