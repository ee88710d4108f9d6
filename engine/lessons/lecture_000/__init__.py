"""Which examples has lecture 000, "Introduction to deep learning"? One file each."""
