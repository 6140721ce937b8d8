"""The doors to other libraries, which stand beside the wings of the package."""
