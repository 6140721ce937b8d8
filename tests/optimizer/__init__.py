"""`gpuopt/optimizer`: what holds of an optimizer in its whole life."""
