"""Drawings of what inference found: matplotlib figures, without its global state."""
