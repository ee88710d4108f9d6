"""Where is the arithmetic? One file a family of kernel pairs, the formula above the code."""
