"""The DVC stages, the `cinderella` command and the demo. Nothing imports this package."""

import logging
from collections.abc import Callable

NOISE = {
    "bitsandbytes.backends.cpu.ops": "Failed to load CPU gemm_4bit_forward",
    "diffusers.models.modeling_utils": "should be kept in float32: []",
}
"""Lines of libraries, by logger, that nobody can act on: a kernel for 4-bit weights, which nothing here has,
and an empty list. The first is said when diffusers is imported, so it is hushed here, before."""


def without(line: str) -> Callable[[logging.LogRecord], bool]:
    """Return a filter of log records that holds back a line."""
    return lambda record: line not in record.getMessage()


for _logger, _line in NOISE.items():
    logging.getLogger(_logger).addFilter(without(_line))
