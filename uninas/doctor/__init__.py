"""Find out what this machine has, and what it lacks for what; nothing is started."""
