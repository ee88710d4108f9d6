"""Does a graph hold the lectures' numbers, do routes sum up to reverse mode, and are its pictures whole?"""

import os
import re
import stat
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import numpy as np
import pytest

import engine as en
from engine.checks import Graph, graph, jacobian
from engine.checks.layout import layout
from engine.checks.notation import number, picture, shape_text, text

SVG = "{http://www.w3.org/2000/svg}"


def leaf(value, name=None, **options):
    return en.tensor(value, requires_grad=True, name=name, **{"dtype": "float64", **options})


def named(tensor, name):
    tensor.name = name
    return tensor


def lecture():
    """a = 4, b = 3, c = a + b, d = a c."""
    a, b = leaf(4.0, "a"), leaf(3.0, "b")
    c = named(a + b, "c")
    return a, b, c, named(a * c, "d")


class Neuron(en.Operation):
    """A node of the lecture: one function of several values, its derivatives on its edges."""

    def __init__(self, *weights):
        self.weights = weights

    def forward(self, *inputs):
        return sum(w * x for w, x in zip(self.weights, inputs, strict=True)), None

    def backward(self, saved, incoming_gradient, needed):
        return tuple(w * incoming_gradient for w in self.weights)


def four_paths(*, second_layer=((2.0, 1.0), (0.5, -1.0))):
    """x1, x2 -> z1, z2 -> h1, h2 -> p, with products that are exact in binary."""
    x = [leaf(1.0, "x1"), leaf(-2.0, "x2")]
    z = [named(en.apply(Neuron(*w), *x), f"z{i}") for i, w in enumerate(((1.0, 0.5), (-1.0, 0.25)), 1)]
    h = [named(en.apply(Neuron(*w), *z), f"h{i}") for i, w in enumerate(second_layer, 1)]
    return (*x, *z, *h, named(en.apply(Neuron(1.5, -3.0), *h), "p"))


# -- the lectures' numbers -------------------------------------------------------------------------------


def test_the_example_of_the_contract(backend):
    a = en.tensor(4.0, requires_grad=True, name="a", device=backend)
    b = en.tensor(3.0, requires_grad=True, name="b", device=backend)
    c = a + b
    c.retain_grad()
    d = a * c
    d.backward()
    g = graph(d)
    assert (g.derivative(a, d), g.derivative(b, d), g.derivative(c, d)) == (11.0, 4.0, 4.0)
    assert (g.derivative(a, c), g.derivative(d, d), g.derivative(b, c), g.derivative(c, b)) == (1.0, 1.0, 1.0, 0.0)
    assert (g.gradient(a), g.gradient(b), g.gradient(c), g.gradient(d)) == (11.0, 4.0, 4.0, 1.0)
    assert (g.value(a), g.value(c), g.value(d)) == (4.0, 7.0, 28.0)
    assert isinstance(g.derivative(a, d), float)
    assert isinstance(g.value(d), float)
    assert [path.product for path in g.paths(a, d)] == [4.0, 7.0]
    assert (a.grad.item(), b.grad.item(), c.grad.item()) == (11.0, 4.0, 4.0)  # nothing was added
    ElementTree.fromstring(g.to_svg())


def test_nodes_edges_and_paths():
    a, _, _, d = lecture()
    g = graph(d)
    assert [node.title for node in g.nodes] == ["a", "b", "c", "d"]
    assert [node.kind for node in g.nodes] == ["input", "input", "operation", "operation"]
    assert [node.label for node in g.nodes] == ["a", "b", "+", "*"]
    assert [(e.start.title, e.end.title, e.input, e.derivative) for e in g.edges] == [
        ("a", "c", 0, 1.0),
        ("b", "c", 1, 1.0),
        ("a", "d", 0, 7.0),
        ("c", "d", 1, 4.0),
    ]
    first, second = g.paths("a", "d")
    assert str(first) == "a -> c -> d: 4"
    assert [node.title for node in second.nodes] == ["a", "d"]
    assert [edge.derivative for edge in second.edges] == [7.0]
    assert g.root is g.nodes[-1]
    assert repr(g) == "<Graph of 'd': 4 nodes, 4 edges>"
    assert repr(g.nodes[2]) == "<operation 'c'>"
    assert repr(g.edges[0]) == "<edge a -> c>"
    assert g.derivative(g.nodes[0], g.root) == 11.0
    assert g.derivative("a", "*") == 11.0
    assert g.paths(a, a)[0].product == 1.0
    assert g.paths("d", "a") == []


def test_product_of_sum():
    x, y, z = leaf(-2.0), leaf(5.0), leaf(-4.0)
    q = x + y
    f = q * z
    g = graph(f)
    assert g.value(f) == -12
    assert [g.derivative(one, f) for one in (x, y, z, q)] == [-4, -4, 3, -4]
    assert [g.gradient(one) for one in (x, y, z, q)] == [-4, -4, 3, -4]


def test_sigmoid_neuron_gate_by_gate():
    w = [leaf(value, f"w{i}") for i, value in enumerate((2.0, -3.0, -3.0))]
    x = [leaf(value, f"x{i}") for i, value in enumerate((-1.0, -2.0))]
    total = w[0] * x[0] + w[1] * x[1] + w[2]
    f = 1 / (1 + (-total).exp())
    g = graph(f)
    assert round(g.value(f), 3) == 0.731
    for find in (g.gradient, lambda one: g.derivative(one, f)):
        assert [round(find(one), 3) for one in w] == [-0.197, -0.393, 0.197]
        assert [round(find(one), 3) for one in x] == [0.393, -0.590]
    values = {node.label: g.value(node) for node in g.nodes if node.kind == "operation"}
    assert (round(values["exp"], 3), round(g.value(total), 3)) == (0.368, 1.0)
    assert sum(node.kind == "constant" for node in g.nodes) == 2  # each number of its own


def test_four_paths_sum_up_to_reverse_mode_exactly():
    *inputs, p = four_paths()
    x1, x2 = inputs[:2]
    g = graph(p)
    p.backward()
    for x in (x1, x2):
        assert len(g.paths(x, p)) == 4
        assert g.derivative(x, p) == g.gradient(x) == x.grad.item()
    routes = [" ".join(node.title for node in path.nodes) for path in g.paths(x1, p)]
    assert routes == ["x1 z1 h1 p", "x1 z1 h2 p", "x1 z2 h1 p", "x1 z2 h2 p"]
    assert g.multiplications([x1, x2], p) == (24, 10)  # 8 routes of 3 edges; 10 edges once
    assert g.multiplications(x1, p) == (12, 8)


def test_reverse_mode_visits_every_edge_once(monkeypatch):
    *_, p = four_paths()
    calls = []
    backward = Neuron.backward
    monkeypatch.setattr(Neuron, "backward", lambda *given: calls.append(1) or backward(*given))
    g = graph(p)
    assert calls == []
    assert [g.gradient(node) for node in g.nodes]
    assert len(calls) == 5  # one a neuron, for all its edges and all gradients


# -- arrays ----------------------------------------------------------------------------------------------


def test_local_derivatives_of_arrays_are_jacobians():
    rng = np.random.default_rng(0)
    x, w = leaf(rng.normal(size=(2, 3)), "x"), leaf(rng.normal(size=(3, 4)), "w")
    y = named(x @ w, "y")
    total = (y * y).sum()
    g = graph(total)
    by_x = next(edge for edge in g.edges if edge.start.name == "x").derivative
    assert by_x.shape == (2, 4, 2, 3)
    assert np.array_equal(by_x, jacobian(lambda x: x @ w, x).numpy())
    assert np.allclose(g.derivative(x, total), g.gradient(x), rtol=1e-14)
    assert np.allclose(g.gradient(x), 2 * y.numpy() @ w.numpy().T, rtol=1e-14)
    assert np.array_equal(g.derivative(y, y), np.eye(8).reshape(2, 4, 2, 4))
    assert np.array_equal(g.derivative(w, x), np.zeros((2, 3, 3, 4)))
    assert np.array_equal(g.value(y), y.numpy())
    assert "shape (2, 4, 2, 3)" in str(g.paths(x, y)[0])


def test_the_gradient_of_several_numbers_has_their_axes_first():
    x = leaf([1.0, 2.0, 3.0])
    y = (x * x).reshape(3, 1) * leaf([[1.0, 10.0]])
    g = graph(y)
    assert g.gradient(x).shape == (3, 2, 3)
    assert np.array_equal(g.gradient(x), g.derivative(x, y))
    assert g.flow(g.edges[0]) is None
    ElementTree.fromstring(g.to_svg())


def test_an_array_of_one_number_keeps_its_axes():
    x = leaf([3.0])
    g = graph(x * x)
    assert g.gradient(x).tolist() == [[6.0]]
    assert g.derivative(x, g.root).tolist() == [[6.0]]


def test_a_tensor_used_twice_by_one_operation_has_two_edges():
    x = leaf(3.0, "x")
    y = x * x
    g = graph(y)
    assert len(g.nodes) == 2
    assert [path.product for path in g.paths(x, y)] == [3.0, 3.0]
    assert g.derivative(x, y) == g.gradient(x) == 6.0
    assert [g.flow(edge) for edge in g.edges] == [3.0, 3.0]


def test_large_derivatives_are_refused_until_asked_for():
    x = leaf(np.ones((20, 60)))
    y = (x * 2).sum()
    g = graph(y)
    assert np.all(g.gradient(x) == 2)
    with pytest.raises(
        en.ArgumentError, match=r"has 1440000 elements; the limit is 1000000\. Use graph\(tensor, largest=14400"
    ):
        g.derivative(x, y)
    assert "20×60" in g.to_svg()
    assert np.all(graph(y, largest=1_440_000).derivative(x, y) == 2)
    with pytest.raises(en.ArgumentError, match="limit is 10"):
        graph(leaf([1.0, 2.0, 3.0, 4.0]) * 2, largest=10).gradient("*")


# -- what is in a graph ----------------------------------------------------------------------------------


def test_constants_have_values_and_no_derivatives():
    x, k = leaf(2.0, "x"), en.tensor(5.0, dtype="float64", name="k")
    y = x * k + 1
    g = graph(y)
    kinds = {node.title: node.kind for node in g.nodes}
    assert kinds["k"] == kinds["1"] == "constant"
    assert g.value(k) == 5.0
    assert g.value("1") == 1
    assert next(edge for edge in g.edges if edge.start.title == "k").derivative is None
    for ask in (lambda: g.gradient(k), lambda: g.paths(k, y), lambda: g.derivative("1", y)):
        with pytest.raises(en.GradientError, match="is a constant, no derivative by it is computed"):
            ask()


def test_a_leaf_alone_is_a_graph():
    x = leaf(2.0, "x")
    g = graph(x)
    assert (g.value(x), g.gradient(x), g.derivative(x, x), g.edges) == (2.0, 1.0, 1.0, [])
    ElementTree.fromstring(g.to_svg())


def test_a_view_and_a_detached_copy():
    x = leaf([[1.0, 2.0], [3.0, 4.0]], "x")
    y = (x.T[0] * x.detach()[0]).sum()
    g = graph(y)
    assert g.value(y) == 1 * 1 + 3 * 2
    assert g.gradient(x).tolist() == [[1, 0], [2, 0]]


def test_what_is_not_in_the_graph_is_refused():
    _, _, _, d = lecture()
    g = graph(d)
    with pytest.raises(en.GradientError, match="the tensor 'z' is not among the 4 nodes"):
        g.value(leaf(1.0, "z"))
    with pytest.raises(en.GradientError, match=r"this tensor of shape \(\) is not among"):
        g.value(d * 2)
    with pytest.raises(en.UnknownNameError, match="graph: node 'e' is unknown"):
        g.value("e")
    with pytest.raises(en.ArgumentError, match="int was given for a node"):
        g.value(3)
    with pytest.raises(en.ArgumentError, match="GraphNode was given for a node"):
        g.value(graph(d).nodes[0])
    model = en.Sequential(en.Linear(1, 1), en.Linear(1, 1))
    with pytest.raises(en.ArgumentError, match="2 nodes are called 'weight'; give the Tensor"):
        graph(model(np.ones((1, 1)))).value("weight")


def test_what_has_no_graph_is_refused():
    with pytest.raises(en.GradientError, match="has no history"):
        graph(en.tensor(1.0))
    with pytest.raises(en.ArgumentError, match="float was given"):
        graph(1.0)


def test_too_many_routes_are_refused_and_reverse_mode_is_not():
    x = leaf(1.0, "x")
    y = x
    for _ in range(40):
        y = y + y
    g = graph(y)
    with pytest.raises(en.ArgumentError, match=r"1099511627776 routes lead from 'x' to '\+'; the limit is 10000"):
        g.derivative(x, y)
    assert g.gradient(x) == 2.0**40
    assert g.multiplications(x, y) == (40 * 2**40, 80)
    with pytest.raises(en.ArgumentError, match="the limit is 3"):
        g.paths(g.nodes[-3], y, limit=3)
    assert len(g.paths(g.nodes[-3], y, limit=4)) == 4


def test_a_chain_of_ten_thousand_nodes():
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = -y
    g = graph(y)
    assert g.derivative(x, y) == g.gradient(x) == 1.0
    assert len(g.paths(x, y)[0].edges) == 10_000
    assert g.to_svg().endswith("</svg>\n")


# -- without side effects --------------------------------------------------------------------------------


def test_a_change_in_place_is_noticed():
    x, w = leaf(2.0), leaf(3.0)
    y = x * w
    g = graph(y)
    with en.no_grad():
        w += 1.0
    with pytest.raises(en.GradientError, match="changed in place since; make the graph before the update"):
        graph(y)
    assert (g.value(w), g.value(y)) == (3.0, 6.0)  # as they were
    with pytest.raises(en.GradientError, match="changed in place"):
        g.gradient(x)


def test_a_change_in_place_that_backward_does_not_need_is_noticed():
    x, w = leaf(2.0), leaf(3.0)
    y = x + w
    with en.no_grad():
        w += 1.0
    with pytest.raises(en.GradientError, match="computed again, the tensor has another value"):
        graph(y)


def test_random_layers_and_running_estimates_are_left_alone(backend):
    en.seed(3)
    branch = en.Sequential(en.Linear(4, 4, device=backend), en.Tanh())
    model = en.Sequential(
        en.Linear(3, 4, device=backend),
        en.BatchNorm(4, device=backend),
        en.Dropout(0.4),
        en.StochasticDepth(branch, drop=0.5),
        en.Linear(4, 3, device=backend),
    )
    model.to(device=backend)
    x = en.tensor(np.random.default_rng(0).normal(size=(6, 3)).astype("float32"), device=backend)
    loss = en.CrossEntropy()(model(x), np.array([0, 1, 2, 0, 1, 2]))
    state = {name: one.numpy() for name, one in model.state_dict().items()}
    drawn = [layer.drawn for _, layer in model.named_layers() if isinstance(layer, en.RandomLayer)]
    g = graph(loss)
    assert g.value(loss) == loss.item()
    assert all(np.array_equal(state[name], one.numpy()) for name, one in model.state_dict().items())
    assert drawn == [layer.drawn for _, layer in model.named_layers() if isinstance(layer, en.RandomLayer)] == [1, 1]
    assert all(one.grad is None for one in model.parameters())
    loss.backward()
    for one in model.parameters():
        assert np.allclose(g.gradient(one), one.grad.numpy(), rtol=1e-5, atol=1e-7)
    for form in (g.to_svg(), g.to_dot(), g.to_mermaid()):
        assert "crossentropy" in form
        assert "stochastic depth" in form


def test_a_random_operation_of_a_users_own_is_noticed():
    class Noise(en.Operation):
        def forward(self, x):
            return x + np.random.default_rng().normal(size=x.shape), None

        def backward(self, saved, incoming_gradient, needed):
            return (incoming_gradient,)

    with pytest.raises(en.GradientError, match="an operation of your own is random"):
        graph(en.apply(Noise(), leaf([1.0, 2.0])))


# -- pictures --------------------------------------------------------------------------------------------


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_svg_shows_values_and_gradients():
    *_, d = lecture()
    svg = graph(d).to_svg()
    shown = texts(svg)
    assert sorted(one for one in shown if re.fullmatch(r"\d+", one)) == [
        "1",
        "28",
        "3",
        "4",
        "4",
        "4",
        "4",
        "4",
        "7",
        "7",
    ]
    assert {"a", "b", "c", "d", "+", "×", "Σ 11"} <= set(shown)
    root = ElementTree.fromstring(svg)
    assert len(list(root.iter(f"{SVG}polyline"))) == 5  # four edges, and the arrow that leaves
    assert root.find(f"{SVG}title").text == "Computation graph of d: 4 nodes, 4 edges"
    assert "input a: 4, gradient 11" in [one.text for one in root.iter(f"{SVG}title")]
    assert graph(d)._repr_svg_() == svg


def test_the_svg_can_show_the_edges_own_derivatives():
    *_, d = lecture()
    shown = texts(graph(d).to_svg(labels="derivatives"))
    assert sorted(one for one in shown if re.fullmatch(r"\d+", one)) == ["1", "1", "4", "7"]
    assert "derivative of the end by the start" in shown
    assert not any(one.startswith("Σ") for one in shown)
    x = leaf([1.0, 2.0])
    assert "2×2" in graph((x * x).sum()).to_svg("derivatives")
    with pytest.raises(en.UnknownNameError, match="did you mean gradients"):
        graph(d).to_svg("gradient")


def test_everything_drawn_is_inside_the_picture():
    *_, p = four_paths()
    root = ElementTree.fromstring(graph(p).to_svg())
    left, top, width, height = map(float, root.get("viewBox").split())
    for element in root.iter(f"{SVG}text"):
        assert left <= float(element.get("x")) <= left + width
        assert top <= float(element.get("y")) <= top + height
    for element in root.iter(f"{SVG}polyline"):
        for point in element.get("points").split():
            x, y = map(float, point.split(","))
            assert left <= x <= left + width
            assert top <= y <= top + height


NASTY = "<&>\"'\\ ]]> | `x` \n\x07 #;{}"


@pytest.mark.parametrize("labels", ["gradients", "derivatives"])
def test_names_are_escaped_in_every_form(labels):
    x = leaf(2.0, NASTY)
    y = named(x * leaf(3.0, "</text>"), NASTY)
    g = graph(named(y + y, '-->|"|'))
    shown = texts(g.to_svg(labels))
    assert "</text>" in shown
    assert any(one.startswith("<&>\"'\\ ]]> | `x` ") for one in shown)
    dot = g.to_dot(labels)
    for line in dot.splitlines()[1:-1]:
        assert line.startswith("  ")
        assert line.endswith(";")
        assert len(re.findall(r'(?<!\\)(?:\\\\)*"', line)) % 2 == 0
    for line in g.to_mermaid(labels).splitlines()[1:-1]:
        assert re.fullmatch(r"""  n\d+(\(\["[^"]*"\]\)|\(\("[^"]*"\)\)|\["[^"]*"\]| -->(\|"[^"]*"\|)? n\d+)""", line), (
            line
        )
        assert not re.search(r"[\\`{}]", line)


def test_dot_and_mermaid_of_the_lecture():
    *_, d = lecture()
    dot, mermaid = graph(d).to_dot(), graph(d).to_mermaid()
    assert dot.startswith("digraph computation {\n")
    assert '  n2 [label="+\\nc", shape=circle, tooltip="operation c: 7, gradient 4"];' in dot
    assert '  n0 -> n3 [label=<<font color="#0060a8">4</font><br/><font color="#c24a00">7</font>>];' in dot
    assert dot.count("->") == mermaid.count("-->") == 5
    assert mermaid.startswith('flowchart LR\n  n0(["a<br/>Σ 11"])\n')
    assert '  n2(("c#58; #43;"))' in mermaid
    negative = graph(leaf(-2.0) * 3).to_mermaid()
    assert "<font color='#0060a8'>#45;2</font>" in negative
    assert "style=" not in negative


def test_save(tmp_path):
    *_, d = lecture()
    g = graph(d)
    for name, start in (
        ("g.svg", "<svg"),
        ("g.SVG", "<svg"),
        ("g.dot", "digraph"),
        ("g.gv", "digraph"),
        ("g.mmd", "flowch"),
    ):
        g.save(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    g.save(str(tmp_path / "derivatives.svg"), labels="derivatives")
    assert len(list(tmp_path.iterdir())) == 6
    assert stat.S_IMODE(os.stat(tmp_path / "g.svg").st_mode) & 0o444
    for name in ("g.png", "g"):
        with pytest.raises(en.UnknownNameError, match=r"graph\.save: suffix"):
            g.save(tmp_path / name)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    *_, d = lecture()
    target = tmp_path / "g.svg"
    missing = re.escape(f"{tmp_path / 'no' / 'g.svg'}: could not be written: No such file")
    with pytest.raises(en.FileError, match=missing):
        graph(d).save(tmp_path / "no" / "g.svg")
    target.write_text("before")

    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=f"{re.escape(str(target))}: could not be written: No space left on device"):
        graph(d).save(target)
    assert [one.name for one in tmp_path.iterdir()] == ["g.svg"]
    assert target.read_text() == "before"


def test_a_whole_net_shows_shapes():
    model = en.Sequential(en.Linear(2, 8), en.ReLU(), en.Linear(8, 2))
    loss = en.CrossEntropy()(model(np.ones((4, 2))), np.array([0, 1, 1, 0]))
    shown = texts(graph(loss).to_svg())
    assert {"linear", "relu", "crossentropy", "weight", "bias", "2×8", "8 numbers", "4×2"} <= set(shown)


def test_labels_of_a_small_net_hide_no_node_and_no_edge():
    model = en.Sequential(en.Linear(3, 4), en.ReLU(), en.Dropout(0.5, generator=0), en.Linear(4, 2))
    model.load_state_dict({**model.state_dict(), "3.bias": en.tensor(np.array([1.02, -1.02], np.float32))})
    loss = en.CrossEntropy()(model(np.random.default_rng(0).normal(size=(5, 3))), np.array([0, 1, 0, 1, 1]))
    loss.backward()
    root = ElementTree.fromstring(graph(loss).to_svg())
    nodes = [
        tuple(float(one.get(name)) for name in ("x", "y", "width", "height"))
        for group in root.iter(f"{SVG}g")
        for one in group.iter(f"{SVG}rect")
    ]
    lines = []
    for one in root.iter(f"{SVG}polyline"):
        corners = np.array([[float(number) for number in pair.split(",")] for pair in one.get("points").split()])
        lines += [start + (end - start) * share for start, end in pairwise(corners) for share in np.linspace(0, 1, 100)]
    points = np.array(lines)
    labels = [one for one in root.findall(f"{SVG}text") if one.get("stroke") == "#ffffff"]
    assert {"[1.02, −1.02]", "4×2", "5 numbers"} <= {one.text for one in labels}
    for one in labels:
        x, y, width = float(one.get("x")), float(one.get("y")), 0.5 * 17 * len(one.text)
        for left, top, wide, high in nodes:
            apart = left > x + width / 2 or left + wide < x - width / 2 or top > y + 2 or top + high < y - 13
            assert apart, one.text
        hidden = (abs(points[:, 0] - x) < width / 2) & (points[:, 1] < y + 1) & (points[:, 1] > y - 12)
        assert not hidden.any(), one.text


def test_a_layout_makes_room_for_what_is_written_at_edges():
    sizes, edges = [(50.0, 46.0)] * 3, [(0, 1), (1, 2), (0, 2)]
    placed = layout(sizes, edges, 100, 40, [300.0, 10.0, 900.0])
    assert [x for x, _ in placed.centres] == [25, 375, 525]  # a long edge has room enough


def test_many_parallel_and_long_edges_are_drawn():
    x = leaf(1.5, "x")
    y = x
    for _ in range(4):
        y = y * x * x + y
    picture_of = picture(Graph(y), "gradients")
    svg = graph(y).to_svg()
    assert len(list(ElementTree.fromstring(svg).iter(f"{SVG}polyline"))) == len(picture_of.edges)
    z = x
    for _ in range(250):
        z = z + z  # more edges than labels look for a place
    ElementTree.fromstring(graph(z).to_svg())


def test_a_layout_has_no_needless_crossings_and_no_overlaps():
    sizes = [(50.0, 46.0)] * 7
    edges = [(0, 3), (1, 2), (0, 2), (1, 3), (2, 5), (3, 4), (4, 6), (5, 6)]
    placed = layout(sizes, edges, 100, 40)
    assert [len(route) for route in placed.routes] == [2] * 8
    assert all(start[0] < end[0] for start, *_, end in placed.routes)
    for i, one in enumerate(placed.centres):
        for other in placed.centres[:i]:
            assert abs(one[0] - other[0]) >= 50 or abs(one[1] - other[1]) >= 86 - 1e-9
    y = [centre[1] for centre in placed.centres]
    assert (y[2] < y[3]) == (y[5] < y[4])
    long = layout(sizes[:3], [(0, 1), (1, 2), (0, 2)], 100, 40)
    assert [x for x, _ in long.centres] == [25, 175, 325]  # wider only where edges cross
    assert [len(route) for route in long.routes] == [2, 2, 3]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (11.0, "11"),
        (-0.196612, "-0.197"),
        (0.0, "0"),
        (1234.5, "1234"),
        (12345678.0, "1.23e7"),
        (0.00012, "1.20e-4"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (True, "True"),
        (np.float32(0.5), "0.5"),
    ],
)
def test_numbers_are_short(value, expected):
    assert number(value) == expected


def test_few_numbers_are_shown_and_many_are_a_shape():
    assert text(np.array([1.0, 2.5])) == "[1, 2.5]"
    assert text(np.ones(4)) == text(np.ones((1, 2))) == text("x") == text(np.ones(0)) == ""
    assert (shape_text((64, 10)), shape_text((64,))) == ("64×10", "64 numbers")
