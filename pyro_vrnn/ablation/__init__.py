"""Grids of runs: axes become cells, cells become runs under one parent, whatever is interrupted."""
