"""The generated config reference."""

import json
from pathlib import Path

from bot.render.reference import reference

ROOT = Path(__file__).parents[2]


def test_the_committed_reference_is_the_generated_one() -> None:
    generated = reference({path.stem: path.read_bytes() for path in (ROOT / "schemas").glob("*.json")})
    committed = (ROOT / "docs" / "config-reference.md").read_text(encoding="utf-8")
    assert committed == generated, "docs/config-reference.md is out of date: run `make docs`"


def test_a_schema_becomes_a_chapter() -> None:
    schema = {
        "$id": "/thing-1.json",
        "title": "Thing",
        "description": "A thing.",
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"title": "Name", "description": "Its a|b name.", "type": "string", "examples": ["x|y"]},
            "sizes": {
                "title": "Sizes",
                "description": "By room.",
                "type": "object",
                "additionalProperties": {"type": "object", "properties": {"high": {
                    "title": "High", "description": "Height.", "$ref": "#/$defs/metres", "default": 2, "examples": [3],
                }}},
                "examples": [{"hall": {"high": 3}}],
            },
        },
        "$defs": {"metres": {"title": "Metres", "description": "In metres.", "type": "integer", "examples": [1, 2]}},
        "examples": [{"name": "chair"}],
    }  # fmt: skip
    text = reference({"thing-1": json.dumps(schema).encode()})
    assert text.endswith("""
- [Thing](#thing-1)

<a id="thing-1"></a>

## Thing: `/thing-1.json`

A thing.

```yaml
name: chair
```

| Field | Value | Default | Meaning | Example |
|---|---|---|---|---|
| `name` | string | required | Its a\\|b name. | `"x\\|y"` |
| `sizes` | mapping to mapping |  | By room. |  |
| `sizes.*.high` | [metres](#metres) | `2` | Height. | `3` |

## Shared shapes

<a id="metres"></a>

**metres**: In metres. Examples: `1`, `2`.
""")


def test_kinds_that_are_not_known_follow_by_name() -> None:
    schema = {"$id": "/x.json", "title": "X", "description": "Y.", "examples": [{"a": 1}]}
    text = reference({name: json.dumps(schema).encode() for name in ("zebra-1", "freeze-1", "ant-1")})
    assert [name for name in ("freeze-1", "ant-1", "zebra-1") if f"(#{name})" in text] == [
        "freeze-1",
        "ant-1",
        "zebra-1",
    ]
    assert text.index("(#freeze-1)") < text.index("(#ant-1)") < text.index("(#zebra-1)")
    assert "Shared shapes" not in text
