"""How does one look into gradients? Checks by differences, Jacobians, and the graph with its routes and pictures."""

from engine.checks.gradient import GradientReport, gradcheck
from engine.checks.graph import Graph, graph
from engine.checks.jacobian import jacobian, numerical_gradient

__all__ = ["GradientReport", "Graph", "gradcheck", "graph", "jacobian", "numerical_gradient"]
