"""Do the lessons of lecture 002 come to the numbers of its slides? A product of a sum, and the gates of a neuron."""

import numpy as np
import pytest
from lesson_pages import page, row

from engine import lessons


def rows_of(name, device):
    return {one.quantity: one for one in page(name, device).rows}


def table_of(name, device):
    (table,) = (part for part in page(name, device).parts if isinstance(part, lessons.Table))
    return {line[0]: line[1:] for line in table.rows}


def test_product_of_a_sum(backend):
    """f = (x + y) z at x = -2, y = 5, z = -4."""
    numbers = {"q = x + y": 3, "f = q z": -12, "∂q/∂x": 1, "∂q/∂y": 1}
    numbers |= {"∂f/∂q = z": -4, "∂f/∂z = q": 3, "∂f/∂x": -4, "∂f/∂y": -4}
    found = rows_of("product-of-sum", backend.device)
    assert {quantity: one.engine for quantity, one in found.items()} == numbers
    assert {quantity: one.slide for quantity, one in found.items()} == numbers
    assert table_of("product-of-sum", backend.device) == {
        "z → f": (1, 3, 3),
        "q → f": (1, -4, -4),
        "x → q": (-4, 1, -4),
        "y → q": (-4, 1, -4),
    }


def test_the_sigmoid_neuron_as_printed(backend):
    printed = {"f": 0.731, "∂f/∂w₀": -0.197, "∂f/∂w₁": -0.393, "∂f/∂w₂": 0.197, "∂f/∂x₀": 0.393, "∂f/∂x₁": -0.590}
    for quantity, number in printed.items():
        found = row("sigmoid-neuron", quantity, backend.device)
        assert found.slide == number
        assert round(found.engine, 3) == number
        assert found.tolerance == 0.0005


def test_the_sigmoid_neuron_gate_by_gate(backend):
    """Values forward; gradients backward by -1/x², 1, eˣ, -1, 1, and the other factor of a product."""
    values = {"w₀x₀": -2, "w₁x₁": 6, "w₀x₀ + w₁x₁": 4, "s": 1, "−s": -1}
    values |= {"e⁻ˢ": 0.36787944117144233, "1 + e⁻ˢ": 1.3678794411714423, "f": 0.7310585786300049}
    slope = 0.7310585786300049 * 0.2689414213699951
    gradients = {"f": 1, "1 + e⁻ˢ": -1 / 1.3678794411714423**2, "e⁻ˢ": -1 / 1.3678794411714423**2, "−s": -slope}
    gradients |= dict.fromkeys(("s", "w₀x₀ + w₁x₁", "w₁x₁", "w₀x₀"), slope)
    for gate, value in values.items():
        found = row("sigmoid-neuron", f"{gate}: value, gradient", backend.device).engine
        np.testing.assert_allclose(found, [value, gradients[gate]], rtol=1e-12)
    table = table_of("sigmoid-neuron", backend.device)
    assert table["1 + e⁻ˢ → f"] == ("1.000", "-0.534", "-0.534")
    assert table["−s → e⁻ˢ"] == ("-0.534", "0.368", "-0.197")
    assert table["s → −s"] == ("-0.197", "-1.000", "0.197")
    assert table["x₁ → w₁x₁"] == ("0.197", "-3.000", "-0.590")
    assert len(table) == 12  # five leaves, and seven gates before the last


def test_one_sigmoid_gate_does_what_its_four_gates_do(backend):
    fused = row("sigmoid-neuron", "dσ/ds = (1 − σ(s)) σ(s)", backend.device)
    chained = row("sigmoid-neuron", "s: value, gradient", backend.device).engine[1]
    assert fused.slide == 0.197
    assert fused.engine == pytest.approx(chained, rel=1e-12)


def test_they_have_no_options():
    assert lessons.get("product-of-sum").options == lessons.get("sigmoid-neuron").options == {}
