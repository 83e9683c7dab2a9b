"""The commands of this package, each imported only when it is called."""
