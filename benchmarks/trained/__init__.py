"""What a training says, and what a search by trainings finds."""
