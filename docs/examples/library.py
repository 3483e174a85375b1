"""From recordings to a scored, saved and loaded model, without the command line."""

import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch

import pyro_vrnn
from pyro_vrnn.data import batches, load
from pyro_vrnn.inference.estimators import estimate, estimators_for
from pyro_vrnn.inference.results import Scale
from pyro_vrnn.model.draws import infer
from pyro_vrnn.model.variants import build
from pyro_vrnn.training.config import read
from pyro_vrnn.training.objective import Elbo
from pyro_vrnn.training.saving import save_model

# [recordings]
folder = Path(tempfile.mkdtemp())
noise = np.random.default_rng(0)
for i in range(40):
    tone = np.sin(2 * np.pi * (200 + 20 * i) * np.arange(4000) / 8000)
    soundfile.write(folder / f"{i:02d}.wav", 0.3 * tone + 0.01 * noise.standard_normal(4000), 8000)

# [train]
settings = ["model.variant=vrnn-gauss", "model.h=32", "model.z=8", f"data.source='{folder}'", "data.frame=40"]
config = read(settings=settings)
corpus = load(config.data, seed=config.training.seed)
config = config.explicit(corpus.frame, corpus.kind)
torch.manual_seed(config.training.seed)
net = build(config.model, corpus.frame)
objective = Elbo(net)
optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(5):
    for x, mask, _ in batches(corpus.train, 8, shuffle=epoch):
        optimiser.zero_grad()
        (objective(x, mask) / mask.sum()).backward()
        optimiser.step()

# [score]
scale = Scale(corpus.width, corpus.std_lsb)
for name in estimators_for(net):
    result = estimate(net, batches(corpus.test, 8), name, particles=10, scale=scale)
    print(f"{result.name:<12} {result.kind.value} {result.per_frame:.2f} nats a frame")

# [keep]
save_model(folder / "model", net, config, corpus.describe())
trained = pyro_vrnn.load(folder / "model")  # or a tracked run: its id, a unique prefix of that, or its name
model, guide = trained.programs("sequence")  # or "markov"

# [latents]
x, mask, _ = next(batches(corpus.test.with_normaliser(corpus.normaliser), 2))
with torch.no_grad():
    z, rollout = infer(trained.net, x, mask, x.shape[:1])
print(f"z {tuple(z.shape)}, h {tuple(rollout.states.h.shape)}, KL {rollout.kl.sum(-1).mean():.2f} nats a sequence")
