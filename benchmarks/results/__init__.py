"""Write this repository's own result pages (docs/results) from runs of `uninas bench`; never installed.

python -m benchmarks.results RUNS... --out docs/results
"""
