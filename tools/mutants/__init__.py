"""Mistakes that are planted in the code, to show that the suite notices them."""
