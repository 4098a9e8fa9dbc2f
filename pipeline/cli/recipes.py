"""Ablations as DVC experiments: what is changed for each, how to run it, and a table of what came out."""

import logging
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess.vocabulary import SIZE_RATIOS

log = logging.getLogger(__name__)

COLUMNS = ("order_accuracy", "slope", "mae")
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


RECIPES: Mapping[str, Recipe] = {
    REFERENCE: Recipe("params.yaml as it is"),
    "mirrored": Recipe("do mirrored samples help?", both("augmentation.mirror=0.5")),
    "random-size-maps": Recipe(
        "is a size map worth learning, or do random features of body and size do?",
        both("train_controller=false"),
    ),
    "hybrid-encoder": Recipe(
        "do fit label and garment help beside the ratios?", ("train_size.encoder=hybrid",)
    ),
    "no-controller": Recipe(
        "what do tokens and time embedding do alone?", ("train_size.parts=[tokens,time]",)
    ),
    "garment-mask": Recipe(
        "what if the inpainting mask follows the worn garment, as VITON-HD's does?",
        ("write_shards.mask_follows=garment",),
    ),
}


def require_known(names: Sequence[str]) -> list[str]:
    """The named recipes, or all of them when none is named.

    Raises:
        ValueError: There is no such recipe.
    """
    unknown = sorted(set(names) - RECIPES.keys())
    if unknown:
        raise ValueError(f"there is no recipe {', '.join(unknown)}: choose among {', '.join(RECIPES)}")
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
            failed = subprocess.run(RECIPES[name].command(name), check=False).returncode
        if failed:
            raise OSError(f"the experiment {name} failed: mend what it says above, then run it again")
    log.info("params.yaml is as it was, artifacts/ is of %s: `dvc repro` brings back your own", names[-1])


@contextmanager
def unchanged(file: Path) -> Iterator[None]:
    """Give a file back the bytes that it had before the block."""
    before = file.read_bytes()
    try:
        yield
    finally:
        file.write_bytes(before)


def experiment_metrics(names: Sequence[str]) -> dict[str, dict[str, Any] | None]:
    """headline.json of each experiment, None for one that was not run."""
    from dvc.api import metrics_show
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    found: dict[str, dict[str, Any] | None] = {}
    for name in names:
        try:
            found[name] = metrics_show(rev=name) or None
        except (DvcException, SCMError):
            found[name] = None
    return found


def table(metrics: Mapping[str, Mapping[str, Any] | None]) -> str:
    """One row an experiment: order accuracy, slope and error of each ladder, and balanced Size Accuracy."""
    heads = [f"{ratio} {column.replace('_', ' ')}" for ratio in SIZE_RATIOS for column in COLUMNS]
    heads.append("size accuracy")
    lines = ["| experiment | question | " + " | ".join(heads) + " |", "|---|---|" + "---:|" * len(heads)]
    for name, figures in metrics.items():
        cells = ["not run"] + [""] * (len(heads) - 1) if figures is None else row(figures)
        lines.append(f"| {name} | {RECIPES[name].question} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def row(figures: Mapping[str, Any]) -> list[str]:
    """Cells of one experiment, a dash where a figure is unknown."""
    names = [f"ladder.{ratio}.{column}" for ratio in SIZE_RATIOS for column in COLUMNS]
    values = [figures.get(name) for name in [*names, "size_accuracy.balanced"]]
    return ["-" if value is None else f"{value:.3f}" for value in values]


def write_table(names: Sequence[str], out: Path) -> str:
    """Write the table as Markdown and return it."""
    text = table(experiment_metrics(names))
    out.write_text(text)
    return text
