"""Subcommands of `uninas` that use what was found."""
