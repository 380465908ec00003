"""How good a model is: scores from labels, and the frames of a bag to compute them on."""
