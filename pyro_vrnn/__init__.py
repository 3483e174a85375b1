"""Variational recurrent neural networks (Chung et al. 2015) in Pyro."""

from pyro_vrnn.loading import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]
