"""Cheap scores before a dear one: a candidate that is not among the best of a rung so far goes no further."""
