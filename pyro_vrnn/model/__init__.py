"""The paper's models: five parts, their composition, and two Pyro programs over it."""
