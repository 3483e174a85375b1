"""Variational recurrent neural networks (Chung et al. 2015) in Pyro."""

__version__ = "0.1.0"
