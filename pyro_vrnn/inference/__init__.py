"""Bounds and estimates of log p(x), and an exact oracle to hold them against."""
