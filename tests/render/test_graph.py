"""The promotion graph as Mermaid and DOT."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.model.desired import App, Desired, Namespace, Promotion, Target
from bot.model.servers import Instance, Pipeline
from bot.render.graph import dot, mermaid

SHELL = Pipeline("deploy", Instance("shell", "command"))


def target(name: str, promotion: Promotion, *, disable: bool = False, delete: bool = False) -> Target:
    return Target(
        name,
        "f.yml",
        (),
        "url",
        "path",
        "main",
        Namespace("n", "c", "e"),
        App("a"),
        SHELL,
        promotion=promotion,
        disable=disable,
        delete=delete,
    )


def world(*targets: Target) -> Desired:
    return Desired("sha", {each.id: each for each in targets})


STAGE = target("orders/orders/stage", Promotion(publish=("orders-ok",)))
PRODUCTION = target(
    "orders/orders/production",
    Promotion(auto=True, subscribe=("orders-ok",), soak=timedelta(days=1, hours=12, minutes=5, seconds=1)),
)
WORLD = world(
    STAGE,
    PRODUCTION,
    target("carts/carts/dr", Promotion(subscribe=("orders-ok",)), disable=True),
    target("carts/carts/gone", Promotion(publish=("carts-ok",), subscribe=("orders-ok",)), delete=True),
    target("alone/alone/stage", Promotion()),
)

MERMAID = """\
flowchart LR
  subgraph f0["carts"]
    t0["carts/dr (disabled)"]
    t1["carts/gone (deleted)"]
  end
  subgraph f1["orders"]
    t2["orders/production"]
    t3["orders/stage"]
  end
  c0(["carts-ok"])
  c1(["orders-ok"])
  c1 -.->|"by command"| t0
  t1 --> c0
  c1 -.->|"by command"| t1
  c1 -->|"auto, soak 36h5m1s"| t2
  t3 --> c1
"""

DOT = """\
digraph promotions {
  rankdir=LR;
  node [shape=box];
  subgraph cluster_0 {
    label="carts";
    t0 [label="carts/dr (disabled)"];
    t1 [label="carts/gone (deleted)"];
  }
  subgraph cluster_1 {
    label="orders";
    t2 [label="orders/production"];
    t3 [label="orders/stage"];
  }
  c0 [label="carts-ok", shape=ellipse];
  c1 [label="orders-ok", shape=ellipse];
  c1 -> t0 [label="by command", style=dashed];
  t1 -> c0;
  c1 -> t1 [label="by command", style=dashed];
  c1 -> t2 [label="auto, soak 36h5m1s", style=solid];
  t3 -> c1;
}
"""


def test_the_graph() -> None:
    assert mermaid(WORLD) == MERMAID
    assert dot(WORLD) == DOT


def test_the_order_of_the_config_does_not_matter() -> None:
    turned = Desired("sha", dict(reversed(list(WORLD.targets.items()))))
    assert mermaid(turned) == MERMAID
    assert dot(turned) == DOT


def test_an_empty_config_is_an_empty_graph() -> None:
    assert mermaid(world()) == "flowchart LR\n"
    assert dot(world()) == "digraph promotions {\n  rankdir=LR;\n  node [shape=box];\n}\n"
    short = target("x", Promotion(auto=True, subscribe=("c",), soak=timedelta(microseconds=1)))
    assert "soak 0s" in mermaid(world(short))
    assert '["x"]' in mermaid(world(short))


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_labels_cannot_break_out(name: str, channel: str) -> None:
    drawn = world(target(name, Promotion(auto=True, publish=(channel,), subscribe=(channel,))))
    plain = world(target("a", Promotion(auto=True, publish=("b",), subscribe=("b",))))
    assert mermaid(drawn).count("\n") == mermaid(plain).count("\n")
    assert mermaid(drawn).count('"') == mermaid(plain).count('"')
    assert dot(drawn).count("\n") == dot(plain).count("\n")
    assert dot(drawn).replace("\\\\", "").replace('\\"', "").count('"') == dot(plain).count('"')
    assert len(dot(drawn).splitlines()) == len(dot(plain).splitlines())
