"""Score one candidate: what a worker is sent, what it answers, and the pool that runs in this process."""
