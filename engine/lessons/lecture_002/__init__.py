"""Which examples has lecture 002, "Neural networks practice"? One file each."""
