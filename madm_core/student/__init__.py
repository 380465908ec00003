"""A compact network that learns from a trained one: architecture, distillation run and model directory."""
