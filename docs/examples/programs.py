"""The two programs under Pyro's own inference."""

import pyro
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive, RenyiELBO, TraceMeanField_ELBO

from pyro_vrnn.inference.programs import log_weights
from pyro_vrnn.model import markov, sequence
from pyro_vrnn.model.variants import ModelOptions, build

pyro.set_rng_seed(0)
net = build(ModelOptions(variant="vrnn-gauss", h=16, z=4, depth=1), x=3)
x = torch.randn(2, 7, 3)
mask = torch.ones(2, 7, dtype=torch.bool)

# [svi]
model, guide = sequence.Model(net), sequence.Guide(net)
svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-3}), loss=TraceMeanField_ELBO())
for _ in range(10):
    svi.step(x, mask)

# [renyi]
iwae_loss = RenyiELBO(alpha=0, num_particles=8, vectorize_particles=True, max_plate_nesting=1)
SVI(model, guide, pyro.optim.Adam({"lr": 1e-3}), loss=iwae_loss).step(x, mask)

# [weights]
with torch.no_grad():
    weights = log_weights(model, guide, x, mask, particles=50)
assert weights.shape == (50, 2)  # one weight for every trajectory of every sequence

# [one step ahead]
with torch.no_grad():
    drawn = Predictive(poutine.uncondition(model), guide=guide, num_samples=5, return_sites=["x"])(x, mask)
assert drawn["x"].shape == (5, 2, 7, 3)

# [free running]
with torch.no_grad():
    free = sequence.Model(net)(mask=torch.ones(4, 20, dtype=torch.bool))
assert free.shape == (4, 20, 3)

# [single steps]
first = torch.zeros(4, 3)
with torch.no_grad():
    primed = poutine.condition(markov.Model(net), data={"x_0": first})(mask=torch.ones(4, 20, dtype=torch.bool))
assert torch.equal(primed[:, 0], first)  # fed back as it was given; every later frame is drawn

# [sites]
trace = poutine.trace(markov.Model(net)).get_trace(x, mask)
assert [name for name in trace.nodes if name.startswith("z_")] == [f"z_{t}" for t in range(7)]
print("sites of the sequence program:", *poutine.trace(model).get_trace(x, mask).stochastic_nodes[1:], "and x")
