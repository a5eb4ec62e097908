"""Triton kernels for GPUs; imported only where they are chosen."""
