"""Referees: networks whose trained accuracies are known, one file each."""
