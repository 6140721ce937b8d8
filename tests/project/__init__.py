"""The repository itself: imports, README, prose, planted mistakes."""
