"""A search by scores that takes seconds, for tests of what is made of finished runs."""

CONFIG = """
space: {preset: resnet, widths: [8, 8, 16, 16], depths: [1, 1, 1, 1], stem: [8, 8], random_edits: 3}
algorithm: evolution
algorithm_options: {population: 4}
objective: {product: [nsc, naswot]}
evaluations: 6
window: 2
size: 32
classes: 3
batch: 4
budget: {params: 60_000, layers: 40}
finalists: {count: 2, seeds: 2}
pool: {kind: serial}
"""
