"""A live continuation: a model hears frames as they come, goes on by itself when they stop, and hears again."""

import torch

from pyro_vrnn.model.stream import Stream
from pyro_vrnn.model.variants import ModelOptions, build

torch.manual_seed(0)
net = build(ModelOptions(variant="vrnn-gauss", h=16, z=4, depth=1), x=20)  # or pyro_vrnn.load(RUN).net

# [continuation]
stream = Stream(net, ())  # of a trained model: pyro_vrnn.load(RUN).stream()
for x_t in torch.randn(10, 20):  # standardised frames from a microphone
    stream.feed(x_t)
kept = stream.past
made = [next(stream).x for _ in range(10)]  # the microphone is silent: the model goes on
stream.feed(torch.randn(20))  # and listens again

# The same moment, gone on from in another way, with less surprise.
other = Stream(net, (), past=kept, temperature_x=0.5)
frame = next(other)
assert frame.x.shape == made[0].shape == (20,)
print(f"log p(z) {frame.log_prior:.1f}, log p(x | z) {frame.log_emission:.1f} nats")
