"""Training of a small Stable-Diffusion-shaped base on captioned synthetic pictures in many styles (no class labels as
targets)."""
