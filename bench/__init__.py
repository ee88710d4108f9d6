"""How fast is the engine? Benchmarks that anyone can run again: `python -m bench`."""
