"""The parts of the demo's page that have a value or can be touched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

Values = Mapping[Any, Any]
"""What stands in each control of the page."""

Update = dict[Any, Any]
"""What shall stand in controls from now on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Controls:
    """The page's parts that have a value or can be touched."""

    visit: gr.State
    """What is remembered of the visitor: a `Visit`, or None."""
    people: gr.Gallery
    person_upload: gr.UploadButton
    garments: gr.Gallery
    garment_upload: gr.UploadButton
    caption: gr.Textbox
    picture: gr.Image
    overlays: gr.CheckboxGroup
    fit: gr.HTML
    sliders: Sequence[gr.Slider]
    marks: Sequence[gr.HTML]
    natural: gr.Button
    chart: gr.Radio
    category: gr.Radio
    """What kind of garment is tried on."""
    hint: gr.HTML
    """What its sizes are."""
    chest: gr.Number
    waist: gr.Number
    hip: gr.Number
    height: gr.Number
    seed: gr.Number
    num_steps: gr.Slider
    text_guidance: gr.Slider
    size_guidance: gr.Slider
    sampler: gr.Radio
    garment_refresh: gr.Checkbox
    around: gr.Button
    charted: gr.Button
    previewed: gr.Button
    strip: gr.Gallery

    def settings_sliders(self) -> tuple[gr.Slider, ...]:
        """How the picture is made, as far as sliders tell."""
        return self.num_steps, self.text_guidance, self.size_guidance

    def inputs(self) -> set[Any]:
        """All that a handler may ask for, uploads excepted."""
        given = {*self.sliders, *self.settings_sliders(), self.caption, self.overlays, self.chart}
        measures = {self.chest, self.waist, self.hip, self.height}
        return given | measures | {self.visit, self.seed, self.sampler, self.garment_refresh, self.category}
