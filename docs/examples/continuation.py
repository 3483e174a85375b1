"""A model that runs beside real frames: it reads some, goes on by itself, and reads again."""

import torch

from pyro_vrnn.model.stream import Stream
from pyro_vrnn.model.variants import ModelOptions, build

torch.manual_seed(0)
net = build(ModelOptions(variant="vrnn-gauss", h=32), 200)  # or pyro_vrnn.load(RUN).stream((1,))
stream = Stream(net, (1,), temperature_x=0.8)

heard = torch.randn(10, 1, 200)  # ten standardised frames of 200 samples
nats = sum(stream.feed(frame).log_emission for frame in heard)

dreamt = [next(stream).x for _ in range(5)]  # its own next frames, each fed back
past = stream.past  # where it stands; Stream(net, (1,), past=past) goes on from here

stream.feed(heard[0])  # reality again
again = Stream(net, (1,), past=past)
again.feed(heard[0])
assert again.past.state.h.shape == stream.past.state.h.shape == (1, 32)
print(f"log p(x | z) of ten frames: {nats.item():.1f} nats; five frames of {dreamt[0].shape[-1]} samples followed")
