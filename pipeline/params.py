"""params.yaml as one typed object: one field per DVC stage."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from eval.params import EvaluateParams
from model.bases import entry_of
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.sizes.axes import SWITCHED_ON, axes_of
from preprocess.sources.params import PrepareDatasetParams
from preprocess.sources.registry import require_source
from preprocess.vocabulary import AXES_VARIABLE, OPTIONAL_AXES, Category
from shards.params import WriteShardsParams
from train.params import TrainBaseParams, TrainJointParams, TrainSizeParams

USAGE_ERROR = 2
"""Exit status where something is the user's to mend."""

ALWAYS = tuple(name for name in axes_of(Category.UPPER) if name not in OPTIONAL_AXES)


class Params(BaseModel):
    """Every field but `axes` is named after its stage in dvc.yaml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    axes: tuple[str, ...] = ALWAYS
    """What is measured and asked for of tops and dresses: `shoulder`, `width`, `length`, and `sleeve` if
    wanted. It is chosen when a process starts, for all of its stages."""

    prepare_dataset: PrepareDatasetParams
    extract_keypoints: ExtractKeypointsParams
    compute_size_ratios: SizeRatioParams
    write_shards: WriteShardsParams
    train_base: TrainBaseParams
    train_size: TrainSizeParams
    train_joint: TrainJointParams
    evaluate_tryon: EvaluateParams

    @field_validator("prepare_dataset")
    @classmethod
    def source_that_there_is(cls, section: PrepareDatasetParams) -> PrepareDatasetParams:
        """Refuse other names; the section itself can't, since data sets are made with its class."""
        require_source(section.source)
        return section

    @model_validator(mode="after")
    def learn_and_draw_as_the_base_can(self) -> Self:
        """Refuse, before anything is trained, what could only fail later."""
        base, drawing = entry_of(self.train_base.preset), self.evaluate_tryon
        for stage in ("train_base", "train_size", "train_joint"):
            if not (stage == "train_base" and base.pretrained):  # whose networks don't learn there
                runtime = getattr(self, stage).runtime
                base.require_trainable(runtime.mixed_precision, f"{stage}.runtime.mixed_precision")
        base.require_drawable(drawing.sampler, drawing.eta)
        return self

    @field_validator("axes")
    @classmethod
    def axes_that_there_are(cls, axes: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse other names, or another order."""
        if axes[: len(ALWAYS)] != ALWAYS or not set(axes[len(ALWAYS) :]) <= set(OPTIONAL_AXES):
            raise ValueError(f"must be {', '.join(ALWAYS)}, and may go on with {', '.join(OPTIONAL_AXES)}")
        return axes


def require_axes(params: Params) -> None:
    """Raise ValueError unless the table of axes of this process has those that are asked for."""
    further = params.axes[len(ALWAYS) :]
    if set(further) != SWITCHED_ON:
        raise ValueError(
            f"axes must be {', '.join((*ALWAYS, *sorted(SWITCHED_ON)))} in this process, got "
            f"{', '.join(params.axes)}: they are taken from params.yaml in the folder it runs in; for "
            f"another file set {AXES_VARIABLE}={','.join(further)}"
        )


def check(path: Path) -> None:
    """Check a file before `make repro` runs anything.

    DVC stops at the first key that it misses, and only names that; a base's folder is missed after all the
    preprocessing, a file of weights by the last stage alone.

    Raises:
        SystemExit: Something in the file is wrong, with status 2.
    """
    params, problems = load_params(path), []
    if "axes" not in params.model_fields_set:
        line = f"axes: [{', '.join(ALWAYS)}]"
        problems.append(f"add the line `{line}`, which earlier versions didn't have and DVC wants")
    problems += missing(params)
    if problems:
        sys.stderr.write("".join(f"{path}: {problem}\n" for problem in problems))
        raise SystemExit(USAGE_ERROR)


def missing(params: Params) -> Iterator[str]:
    """Say what weights are named that are not there, and would be missed after hours."""
    bases = {"write_shards.latents_base": params.write_shards.latents_base}
    if entry_of(params.train_base.preset).pretrained:
        bases["train_base.pretrained"] = params.train_base.pretrained
    for key, folder in bases.items():
        if folder is not None:
            from model.weights import may_be_found  # heavy, and only needed here

            if not may_be_found(folder):
                yield f"{key} must be a folder, or owner/name of the hub: there is no {folder}"
    for key, file in params.evaluate_tryon.weights_of_metrics().items():
        if not file.is_file():
            yield f"evaluate_tryon.{key} must be a file or null: there is no {file}"


Model = TypeVar("Model", bound=BaseModel)


def load_params(path: Path) -> Params:
    """Read and check the whole file, so that a typo in `train_joint` stops the first stage, not the last.

    Raises:
        SystemExit: Something in the file is wrong, with status 2. The message lists every problem at once.
    """
    return read_yaml(path, Params)


def read_yaml(path: Path, model: type[Model]) -> Model:
    """Read and check a file of settings; see `load_params`."""
    try:
        values = YAML(typ="safe").load(path.read_text())  # DVC's reader: 1e-5 is a float, `no` a string
        values = {} if values is None else values  # nothing but comments
        return model.model_validate_json(json.dumps(values, default=str))  # a folder may be named by a date
    except FileNotFoundError:
        message = f"{path}: no such file; run from the repository root or pass --params"
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} must be a text file that can be read: {error}"
    except ValidationError as error:
        problems = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}{what_was_got(e)}" for e in error.errors()]
        message = "\n".join([f"{path}: {len(problems)} problem(s)", *problems])
    except (YAMLError, ValueError) as error:  # a day that there isn't, 2024-13-40, is a ValueError
        message = f"{path}: not valid YAML: {error}"
    sys.stderr.write(message + "\n")
    raise SystemExit(USAGE_ERROR)


def what_was_got(problem: ErrorDetails) -> str:
    """Say what a key has; nothing of a whole section, whose message names the key in question."""
    value = problem["input"]
    if isinstance(value, dict):
        return ""
    if problem["type"] == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        return f' (got the number {value}: write it in quotes, "{value}")'
    return f" (got {value!r})"


if __name__ == "__main__":
    check(Path("params.yaml"))
