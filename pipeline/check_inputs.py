"""Look at params.yaml and the data set it names before any work starts: `python -m pipeline.check_inputs`."""

import argparse
import logging
from pathlib import Path

from pipeline.params import load_params
from pipeline.prepare_dataset import READERS
from pipeline.stage import configure_logging, fail

log = logging.getLogger(__name__)


def main() -> None:
    """Exit with status 2 and one message if params.yaml or the data set can't be used."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.check_inputs", description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="default: params.yaml")
    configure_logging("check_inputs")
    params = load_params(parser.parse_args().params)
    try:
        if params.prepare_dataset.source in READERS:
            source = READERS[params.prepare_dataset.source](Path(params.prepare_dataset.root))
            log.info("%s has %d samples", source.root, sum(1 for _ in source.samples()))
    except (ValueError, OSError) as error:
        fail("check_inputs", error)


if __name__ == "__main__":
    main()
