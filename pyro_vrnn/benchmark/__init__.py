"""How fast a training step is: against its floor on this machine, and against its peers in the same run."""
