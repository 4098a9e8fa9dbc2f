"""The encodings that are stored beside a split's pictures, and whether a base may train on them."""

import logging
from collections.abc import Iterator
from pathlib import Path

from model.bases.base import TryOnBase
from preprocess.identity import Input, identity
from shards.index import INDEX_NAME, ShardIndex
from shards.latents import LATENTS_FOLDER, EncodingsSpec

log = logging.getLogger(__name__)


def encoders_identity(base: TryOnBase) -> str:
    """Return the identity of all that encodes samples: code, weights, and the scale of the latents.

    The same numbers are the same weights in whatever type they lie: what was stored in bf16 may be opened in
    full precision where samples are encoded, and in bf16 where they are trained on.
    """

    def weights() -> Iterator[Input]:
        for module in base.encoders():
            for weight in module.state_dict().values():
                yield weight.cpu().float().contiguous().numpy()

    return identity("train.sample_encoder", base.latent_scale, weights())


def stored_encodings(pictures: Path, base: TryOnBase, image_height: int, image_width: int) -> Path | None:
    """Return the folder of a split's stored encodings, if they are what this base would make of its pictures.

    The size is that of the pictures which training wants encoded.
    """
    folder = pictures / LATENTS_FOLDER
    if not (folder / INDEX_NAME).is_file():
        return None
    spec = EncodingsSpec.from_header(ShardIndex(folder).header)
    assert spec is not None
    wanted = {
        "encoders": encoders_identity(base),
        "image_height": image_height,
        "image_width": image_width,
        "pictures": ShardIndex(pictures).digest,
    }
    differing = [name for name, value in wanted.items() if getattr(spec, name) != value]
    if differing:
        log.warning("%s has latents of other %s: pictures are read instead", folder, ", ".join(differing))
        return None
    log.info("latents and embeddings are read from %s", folder)
    return folder
