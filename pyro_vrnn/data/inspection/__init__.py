"""What is in a source: durations, levels, extents, what repeats exactly. Every value is looked at once.

`inspect(corpus.parts, corpus.lsb)` gives an `Inspection`; a module a kind says what is found in it.
"""

from .found import Findings, Histogram, Proportion, Quantity, quantity
from .whole import Inspection, Part, by_itself, inspect

__all__ = ["Findings", "Histogram", "Inspection", "Part", "Proportion", "Quantity", "by_itself", "inspect", "quantity"]
