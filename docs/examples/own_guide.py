"""A guide of one's own: q(z_t | x_t, x_{t+1}, h_{t-1}), one frame of the future."""

import pyro
import torch
from pyro.infer import TraceMeanField_ELBO

from pyro_vrnn.inference.likelihood import elbo, iwae
from pyro_vrnn.model import markov, sequence
from pyro_vrnn.model.densities import DiagonalGaussian
from pyro_vrnn.model.guides import Guide
from pyro_vrnn.model.nets import MLP
from pyro_vrnn.model.rollout import follow
from pyro_vrnn.model.variants import GUIDES, ModelOptions, build


# [the part]
class LookaheadGuide(Guide):
    r"""Approximate posterior :math:`q(z_t \mid x_t, x_{t+1}, h_{t-1})`."""

    reads_prior = False  # forward never calls prior()
    # reads_state = True and reads_future = True are what a guide starts from

    def __init__(self, dims, hidden):
        super().__init__()
        self.head = DiagonalGaussian(dims.z)
        self.net = MLP((2 * dims.phi_x, dims.h), hidden, self.head.inputs)
        self.head.start(self.net.last_bias)

    def prepare(self, features_x, mask, h=None, memory=None):
        frames = features_x * mask.unsqueeze(-1)  # phi_x of padding is not 0
        first = frames[..., :1, :]
        after = torch.zeros_like(first) if memory is None else memory  # the first frame of the piece that follows
        following = torch.cat([frames[..., 1:, :], after], -2)
        return self.net.first(torch.cat([features_x, following], -1)), first

    def forward(self, prepared, state, prior):
        return self.head(self.net.rest(prepared, state.h))


# [the model]
GUIDES["lookahead"] = LookaheadGuide
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
net = build(ModelOptions(variant="vrnn-gauss", guide="lookahead", h=16, z=4, depth=1), x=3)

# Two sequences of 7 and 5 frames: standardised, with zeros in the padding.
mask = torch.arange(7) < torch.tensor([[7], [5]])
x = torch.randn(2, 7, 3).masked_fill(~mask.unsqueeze(-1), 0.0)

# [both programs]
bounds = []
for program in (markov, sequence):
    pyro.set_rng_seed(1)
    bounds.append(-TraceMeanField_ELBO().loss(program.Model(net), program.Guide(net), x, mask))
assert abs(bounds[0] - bounds[1]) < 1e-9, bounds


# [the contract]
def guide_mean(x, z):
    """The guide's means of all steps, for latents that are given."""
    return follow(net, x, mask, z).q.loc


z = torch.randn(2, 7, 4)
mean = guide_mean(x, z)
later, next_frame, hidden_frames = x.clone(), x.clone(), x.clone()
later[0, 5:] += 1.0  # x_5 and x_6 are two or more steps after step 3
assert torch.equal(guide_mean(later, z)[0, :4], mean[0, :4])
next_frame[0, 4] += 1.0  # step 3 reads x_4: this guide is not causal, as reads_future says
assert not torch.equal(guide_mean(next_frame, z)[0, 3], mean[0, 3])
hidden_frames[1, 5:] = 9.0  # padding changes nothing
assert torch.equal(guide_mean(hidden_frames, z)[1, :5], mean[1, :5])
other_z = z.clone()
other_z[0, 2] += 1.0  # reads_state: z_2 reaches step 3 through h_2
assert not torch.equal(guide_mean(x, other_z)[0, 3], mean[0, 3])

# [training]
optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
loss = TraceMeanField_ELBO()(sequence.Model(net, store=False), sequence.Guide(net, store=False))
before = elbo(net, x, mask).mean()
for _ in range(50):
    optimiser.zero_grad()
    loss(x, mask).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    optimiser.step()
with torch.no_grad():
    after = elbo(net, x, mask).mean()
    tighter = iwae(net, x, mask, particles=100).mean()
assert after > before
print(f"bound ≥ {after:.1f}, importance sampling ≈ {tighter:.1f} nats a sequence (before training ≥ {before:.1f})")
