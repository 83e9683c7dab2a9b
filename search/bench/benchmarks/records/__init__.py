"""Referees whose networks and accuracies stand in their authors' own JSON files, a record for each training."""
