"""Ways to make a step: plain, compiled, as a CUDA graph; each is verified against the plain step."""
