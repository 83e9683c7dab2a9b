"""Files: written whole or not at all, read with bounds and in one dialect, never outside of their folder."""
