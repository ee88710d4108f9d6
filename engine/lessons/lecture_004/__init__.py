"""Which examples has lecture 004, "Functions, folding, backpropagation"? One file each."""
