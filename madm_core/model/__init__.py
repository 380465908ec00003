"""The MADM network: a Stable Diffusion backbone with a learned text condition, projections and a DAFormer head."""
