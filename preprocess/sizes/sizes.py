"""Sizes in human units, in one place: ratios, steps from the natural size, ease in cm, brand charts."""

from preprocess.sizes.centimetres import GarmentMeasures, Wearer, ease_cm, from_ease_cm
from preprocess.sizes.chart import SizeChart
from preprocess.sizes.request import LARGEST, SMALLEST, STEP, SizeRequest

__all__ = [
    "LARGEST",
    "SMALLEST",
    "STEP",
    "GarmentMeasures",
    "SizeChart",
    "SizeRequest",
    "Wearer",
    "ease_cm",
    "from_ease_cm",
]
