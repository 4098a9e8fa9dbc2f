"""Ablations and presets as DVC experiments: what is changed for each, and how to run it."""

import json
import logging
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from ruamel.yaml import YAML

from preprocess.identity import ROOT

log = logging.getLogger(__name__)

REFERENCE = "reference"


@dataclass(frozen=True)
class Recipe:
    """One change of params.yaml."""

    question: str
    """What it answers."""

    overrides: tuple[str, ...] = ()
    """Each `section.key=value`."""

    def command(self, name: str) -> list[str]:
        """The command that runs it as an experiment of that name, or rather those stages that it changes.

        `++` also takes keys that params.yaml leaves at their defaults.
        """
        changes = [part for override in self.overrides for part in ("--set-param", f"++{override}")]
        return ["dvc", "exp", "run", "--name", name, *changes]


def both(override: str) -> tuple[str, str]:
    """The same change of both size-aware stages."""
    return f"train_size.{override}", f"train_joint.{override}"


def ways() -> Iterator[tuple[str, Recipe]]:
    """Yield a recipe for each set of ways by which size may enter, a map's with each controller.

    Left out is the default of params.yaml, which is the reference.
    """
    parts = ("tokens", "time", "map")
    for chosen in (some for size in (1, 2, 3) for some in combinations(parts, size)):
        for controller in ("full", "simple") if "map" in chosen else ("",):
            name = "+".join(chosen) + f"-{controller}" * bool(controller)
            if name != "tokens+time+map-full":
                overrides = [f"train_size.parts=[{','.join(chosen)}]"]
                overrides += [f"train_size.controller={controller}"] * bool(controller)
                yield name, Recipe(f"how far does size get by {name} alone?", tuple(overrides))


RECIPES: Mapping[str, Recipe] = {
    REFERENCE: Recipe("params.yaml as it is"),
    "sleeve": Recipe(
        "are sleeves obeyed as well as the other sizes?", ("axes=[shoulder,width,length,sleeve]",)
    ),
    "mirrored": Recipe("do mirrored samples help?", both("augmentation.mirror=0.5")),
    "resized": Recipe(
        "does it help to see the worn garment at sizes that no photo shows?",
        (*both("augmentation.size=0.2"), *both("runtime.cache_encodings=false")),
    ),
    "random-size-maps": Recipe(
        "is a size map worth learning, or do random features of body and size do?",
        both("train_controller=false"),
    ),
    "hybrid-encoder": Recipe(
        "do fit label and garment help beside the ratios?", ("train_size.encoder=hybrid",)
    ),
    "garment-mask": Recipe(
        "what if the inpainting mask follows the worn garment, as VITON-HD's does?",
        ("write_shards.mask.follows=garment",),
    ),
    "tiny_catvton": Recipe("does size obey in CatVTON's method?", ("train_base.preset=tiny_catvton",)),
    "tiny_klein": Recipe("does size obey in FLUX.2 klein's method?", ("train_base.preset=tiny_klein",)),
    **dict(ways()),
}


def changes_in(file: Path) -> Iterator[str]:
    """Yield what a YAML file has, each value as `section.key=value`."""
    stack = [("", YAML(typ="safe", pure=True).load(file))]
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            stack += [(f"{name}.{key}".strip("."), inner) for key, inner in reversed(value.items())]
        else:
            yield f"{name}={json.dumps(value)}"


PRESETS: Mapping[str, Path] = {name: ROOT / f"params.{name}.yaml" for name in ("small", "categories")}
"""Whole settings by name: files with what differs from params.yaml. They run only when they are named."""

ABOUT = {
    "small": "larger pictures, trained on one GPU",
    "categories": "tops, trousers, skirts and dresses, trained together",
}
"""Of each preset, in words."""


def recipe_of(name: str) -> Recipe:
    """Return an ablation or a preset."""
    if name in PRESETS:
        return Recipe(ABOUT[name], tuple(changes_in(PRESETS[name])))
    return RECIPES[name]


def require_known(names: Sequence[str]) -> list[str]:
    """The named recipes and presets, or all recipes when none is named.

    Raises:
        ValueError: There is no such recipe.
    """
    unknown = sorted(set(names) - RECIPES.keys() - PRESETS.keys())
    if unknown:
        known = ", ".join([*RECIPES, *PRESETS])
        raise ValueError(f"there is no recipe {', '.join(unknown)}: choose among {known}")
    return list(names or RECIPES)


def run_recipes(names: Sequence[str]) -> None:
    """Run experiments one after another in this workspace, each in place of an earlier one of its name.

    What they change of params.yaml is undone after each: else the next would have it too. The artifacts stay
    those of the last.

    Raises:
        OSError: One failed; those before it are kept.
    """
    for name in names:
        # `dvc exp run --force` would replace it as well, but run every stage anew
        subprocess.run(["dvc", "exp", "remove", "--quiet", name], check=False, stderr=subprocess.DEVNULL)
        with unchanged(Path("params.yaml")):
            failed = status_of(recipe_of(name).command(name))
        if failed:
            raise OSError(f"the experiment {name} failed: mend what it says above, then run it again")
    log.info("params.yaml is as it was, artifacts/ is of %s: `dvc repro` brings back your own", names[-1])


def status_of(command: Sequence[str]) -> int:
    """Run a command. Ctrl-C reaches it as well: it is waited for then, not killed while it tidies up."""
    process = subprocess.Popen(command)
    try:
        return process.wait()
    finally:
        process.wait()


@contextmanager
def unchanged(file: Path) -> Iterator[None]:
    """Give a file back the bytes that it had before the block."""
    before = file.read_bytes()
    try:
        yield
    finally:
        file.write_bytes(before)
