"""How is a step recorded and run again? The recorder, its program, its arguments, and the comparison of two."""
