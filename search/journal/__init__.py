"""What a run keeps: the append-only journal, and its mirror in an object store."""
