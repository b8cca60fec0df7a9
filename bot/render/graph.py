"""The promotion graph as text: publishers -> channel -> subscribers, grouped by SaaS file; Mermaid and Graphviz DOT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.model.desired import Desired, Target
from bot.render.words import span


@dataclass(frozen=True, slots=True)
class _Graph:
    """Targets that promote or are promoted, by SaaS file, with a node name for each of them and for each channel."""

    files: Mapping[str, tuple[Target, ...]]
    targets: Mapping[str, str]
    channels: Mapping[str, str]


def mermaid(desired: Desired) -> str:
    """Draw the graph for Mermaid, as forges show it in Markdown; the same config gives the same bytes."""
    graph = _graph(desired)
    lines = ["flowchart LR"]
    for number, (file, targets) in enumerate(graph.files.items()):
        lines.append(f'  subgraph f{number}["{_mermaid(file)}"]')
        lines += [f'    {graph.targets[target.id]}["{_mermaid(_label(target))}"]' for target in targets]
        lines.append("  end")
    lines += [f'  {node}(["{_mermaid(channel)}"])' for channel, node in graph.channels.items()]
    for target in (target for targets in graph.files.values() for target in targets):
        node, promotion = graph.targets[target.id], target.promotion
        lines += [f"  {node} --> {graph.channels[channel]}" for channel in sorted(set(promotion.publish))]
        arrow = f'-->|"{_mermaid(_how(target))}"|' if promotion.auto else f'-.->|"{_mermaid(_how(target))}"|'
        lines += [f"  {graph.channels[channel]} {arrow} {node}" for channel in sorted(set(promotion.subscribe))]
    return "\n".join(lines) + "\n"


def dot(desired: Desired) -> str:
    """Draw the graph for Graphviz; the same config gives the same bytes."""
    graph = _graph(desired)
    lines = ["digraph promotions {", "  rankdir=LR;", "  node [shape=box];"]
    for number, (file, targets) in enumerate(graph.files.items()):
        lines += [f"  subgraph cluster_{number} {{", f'    label="{_dot(file)}";']
        lines += [f'    {graph.targets[target.id]} [label="{_dot(_label(target))}"];' for target in targets]
        lines.append("  }")
    lines += [f'  {node} [label="{_dot(channel)}", shape=ellipse];' for channel, node in graph.channels.items()]
    for target in (target for targets in graph.files.values() for target in targets):
        node, promotion = graph.targets[target.id], target.promotion
        lines += [f"  {node} -> {graph.channels[channel]};" for channel in sorted(set(promotion.publish))]
        line = "solid" if promotion.auto else "dashed"
        how = f'[label="{_dot(_how(target))}", style={line}]'
        lines += [f"  {graph.channels[channel]} -> {node} {how};" for channel in sorted(set(promotion.subscribe))]
    return "\n".join([*lines, "}"]) + "\n"


def _graph(desired: Desired) -> _Graph:
    """Take what promotes or is promoted; everything in the order of its name."""
    files: dict[str, list[Target]] = {}
    channels: set[str] = set()
    for target in sorted(desired.targets.values(), key=lambda target: target.id):
        own = {*target.promotion.publish, *target.promotion.subscribe}
        if own:
            files.setdefault(target.saas_file, []).append(target)
            channels |= own
    targets = [target.id for members in files.values() for target in members]
    return _Graph(
        {file: tuple(members) for file, members in files.items()},
        {target: f"t{number}" for number, target in enumerate(targets)},
        {channel: f"c{number}" for number, channel in enumerate(sorted(channels))},
    )


def _label(target: Target) -> str:
    """Name a target inside its SaaS file, and say if it does not run."""
    name = target.id.partition("/")[2] or target.id
    state = " (deleted)" if target.delete else " (disabled)" if target.disable else ""
    return name + state


def _how(target: Target) -> str:
    """Say how a subscriber is promoted."""
    soak = f", soak {span(target.promotion.soak)}" if target.promotion.soak else ""
    return ("auto" if target.promotion.auto else "by command") + soak


def _mermaid(text: str) -> str:
    """Escape a label: everything that Mermaid or HTML could act on becomes a numbered entity."""
    return "".join(char if char.isalnum() or char in " /.,:_-()" else f"#{ord(char)};" for char in text)


def _dot(text: str) -> str:
    """Escape a label for a quoted DOT string."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return line.replace("\\", "\\\\").replace('"', '\\"')
