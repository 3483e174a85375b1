"""Corpora made ready once: values in one file, an index, the split, statistics and a manifest.

`prepare("audio", DataOptions(source="recordings"), Path("cache"))` makes one, and `pyro_vrnn.data.load` of
`DataOptions(source="cache")` opens it.
"""
