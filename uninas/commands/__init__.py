"""Subcommands of this package; each module holds a click command called `command`."""
