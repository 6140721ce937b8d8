"""What nothing but a GPU can show."""
