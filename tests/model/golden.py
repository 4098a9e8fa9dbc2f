"""Find the golden folders made by IDM-VTON's own code."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("CINDERELLA_SHARED", ROOT.parent / "shared"))
GOLDEN = sorted(path.parent for path in (SHARED / "golden" / "idm_vton").glob("*/config.json"))
