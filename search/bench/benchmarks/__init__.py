"""Networks whose trained accuracies are known, one benchmark per module; `table.BENCHMARKS` lists them."""
