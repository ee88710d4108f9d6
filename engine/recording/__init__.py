"""How is a step recorded and run again? The recorder, the program it makes, its arguments, and the comparison of two."""
