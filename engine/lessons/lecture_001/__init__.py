"""Which examples has lecture 001, "MLP and backpropagation"? One file each."""
