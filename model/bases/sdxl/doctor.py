"""`cinderella doctor`: is a preset ready to run here, and how much memory will it take."""

from dataclasses import dataclass
from pathlib import Path

from model.bases.sdxl.checks import missing_parts, wrong_shapes, wrong_widths
from model.bases.sdxl.memory import FullSizeNetworks, memory_report
from model.bases.sdxl.memory_settings import setting_lines
from model.bases.sdxl.presets import SdxlPreset


@dataclass(frozen=True, kw_only=True)
class DoctorReport:
    """What was found; nothing was loaded."""

    problems: list[str]
    """What is missing or has the wrong shape."""

    memory: list[str]
    """A line for each device and stage, and for each setting of `--low-memory`."""


def examine(preset: SdxlPreset, folder: Path, bytes_per_weight: int = 2) -> DoctorReport:
    """Check the folder of a base against `preset`, and estimate its memory.

    Args:
        preset: The networks that are wanted.
        folder: In IDM-VTON's layout.
        bytes_per_weight: 2 for half precision, 4 for full.
    """
    networks = FullSizeNetworks(preset, bytes_per_weight)
    settings = setting_lines(networks)  # first: the training stages change what the networks keep
    return DoctorReport(problems=find_problems(preset, folder), memory=[*settings, *memory_report(networks)])


def find_problems(preset: SdxlPreset, folder: Path) -> list[str]:
    """Return a line for everything that is missing; where nothing is, what differs from `preset`."""
    return missing_parts(folder) or [*wrong_widths(folder, preset), *wrong_shapes(folder, preset)]
