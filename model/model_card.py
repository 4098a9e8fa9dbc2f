"""The model card, and the versions that belong to a saved adapter's provenance."""

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

LIBRARIES = ("diffusers", "safetensors", "torch", "transformers")

CARD = """---
library_name: diffusers
license: {licence}
pipeline_tag: image-to-image
tags: [virtual-try-on, size-control]
---
# {title}

Size conditioning for a virtual try-on network: shows a garment on a person at the size that is asked for.

## Size
Ratios, garment over body, in this order; each may be unknown (NaN).

{axes}

## Use
```python
from model.adapter.adapter import SizeAdapter
from model.bases import open_base

base = open_base({base!r})
adapter = SizeAdapter.from_pretrained({adapter!r})
adapter.attach(base.sites())
```
At `size_scale` 0 the pictures are those of the base, bit for bit.

## Limits
- Made for one person, seen from the front, in garments of {categories}.
- The ratios are measures of a flat picture: no cloth is simulated, and a tape measure will disagree.
- Weights trained on drawn paper dolls show that the machinery works; they say nothing about photographs.
- The base's own licence and limits hold as well.

## Parts
{parts}

## Provenance
```json
{provenance}
```
"""


def versions() -> dict[str, str]:
    """Return the versions of the libraries that wrote the weights."""
    return {name: version(name) for name in LIBRARIES}


def model_card(
    title: str,
    axes: Mapping[str, str],
    parts: Mapping[str, Any],
    provenance: Mapping[str, Any],
    *,
    base: str,
    adapter: str,
    categories: Iterable[str] | None = None,
    licence: str = "apache-2.0",
) -> str:
    """Return the text of a model card.

    `axes` says what each size ratio means, `parts` what the adapter is made of; the provenance is parameters,
    hash of the data and versions. Folders are as a user of the card reaches them.
    """
    lines, ratios = ("\n".join(f"- {name}: {value}" for name, value in of.items()) for of in (parts, axes))
    facts = json.dumps(dict(provenance), indent=2, sort_keys=True)
    return CARD.format(
        title=title,
        axes=ratios,
        parts=lines,
        provenance=facts,
        base=base,
        adapter=adapter,
        categories=", ".join(categories or ()) or "the categories that it was trained on",
        licence=licence,
    )
