"""All that touches Ray: the pool of actors, their cluster, metrics, Tune, sweeps of many searches."""
