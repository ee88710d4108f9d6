"""What does the graph need of each kernel pair? Shapes, dtypes, which gradients, what is saved; no arithmetic."""
