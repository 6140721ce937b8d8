"""CuPy arrays: launches that update many arrays at once, the tables that find them, and what is brought to the device."""
