"""Paper dolls as a scene: people whose garment can be drawn at any size, so that truth is known."""

import numpy as np
from numpy.typing import NDArray

from eval.ladder.people import Scene
from eval.ladder.remeasure import read_garment
from preprocess.body.keypoints import Keypoints
from preprocess.garment.parse import garment_mask
from preprocess.sources.paper_dolls.sample import DollSample, doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Category
from tests.sizes import TOP_PLACES

PARAMS = PaperDollParams(image_height=320, image_width=240)
Floats = NDArray[np.float64]


class DollStudio:
    """Draws people at any size, and remembers where the garment is in each picture it drew."""

    def __init__(self, num_people: int, params: PaperDollParams = PARAMS) -> None:
        self.params = params
        self.samples: list[DollSample] = []
        self.masks: dict[bytes, NDArray[np.bool_]] = {}
        self.wearers: dict[bytes, bytes] = {}
        pictures, keypoints, natural = [], [], []
        for index in range(4 * num_people):
            sample = doll_sample(params, "test", index)
            drawn = render_sample(params, sample)
            joints = np.where(drawn.keypoints[:, 2:] > 0, drawn.keypoints, [np.nan, np.nan, 0]).astype(
                np.float32
            )
            worn = self._remember(drawn.image, drawn.parse, drawn.image)
            if np.isfinite(joints[[2, 5, 9, 12]]).all() and len(self.samples) < num_people:
                ratios = read_garment(worn, Keypoints.from_flat(joints), Category.UPPER).ratios
                if np.isfinite(ratios[TOP_PLACES]).all():
                    self.samples.append(sample)
                    pictures.append(drawn.image)
                    keypoints.append(joints)
                    natural.append(ratios)
        photos = np.stack(pictures)
        self.scene = Scene(
            keys=[sample.key for sample in self.samples],
            photos=photos,
            cloths=photos,
            inpaint_masks=np.ones(photos.shape[:3], bool),
            garment_covers=np.stack([self.masks[photo.tobytes()] for photo in photos]).astype(np.float32),
            keypoints=np.stack(keypoints),
            natural=np.array(natural),
            categories=[Category.UPPER] * num_people,
            factor=1,
        )

    def draw(self, person: int, requested: Floats) -> NDArray[np.uint8]:
        """(N, H, W, 3) pictures at exactly (N, A) requested ratios."""
        drawn = [render_sample(self.params, self.samples[person], ratios[TOP_PLACES]) for ratios in requested]
        for picture in drawn:
            self._remember(picture.image, picture.parse, self.scene.photos[person])
        return np.stack([picture.image for picture in drawn])

    def segment(self, pictures: NDArray[np.uint8], cloths: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, H, W) the true garment masks of pictures drawn here, each with its wearer's garment."""
        wearers = [self.wearers[picture.tobytes()] for picture in pictures]
        assert [cloth.tobytes() for cloth in cloths] == wearers
        return np.stack([self.masks[picture.tobytes()] for picture in pictures]).astype(np.float32)

    def _remember(
        self, picture: NDArray[np.uint8], parse: NDArray[np.uint8], photo: NDArray[np.uint8]
    ) -> NDArray[np.bool_]:
        mask = garment_mask(parse, Category.UPPER)
        self.masks[picture.tobytes()] = mask
        self.wearers[picture.tobytes()] = photo.tobytes()
        return mask
