"""Sizes in human units, in one place: ratios, steps from the natural size, ease in cm, brand charts."""

from preprocess.garment_sizes import GarmentMeasures, Wearer, ease_cm, from_ease_cm
from preprocess.size_chart import SizeChart
from preprocess.size_request import LARGEST, SMALLEST, STEP, SizeRequest

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
