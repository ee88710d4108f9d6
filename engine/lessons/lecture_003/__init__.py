"""Which examples has lecture 003, "Neural network basics"? One file each."""
