"""One step of training as a value: what it is given, its two formulas, and its gradients."""
