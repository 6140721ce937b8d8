"""What several test modules need, and tests of that itself."""
