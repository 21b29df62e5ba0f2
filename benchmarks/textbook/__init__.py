"""CIFAR10 ReACGAN as the published packages compute it, written plainly: what we are measured against."""
