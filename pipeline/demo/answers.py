"""What the demo does when something on its page is touched."""

import html
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gradio as gr

from model.params import DrawingOptions
from pipeline.demo.controls import Controls, Update, Values
from pipeline.demo.pictures import Picture, fit_table, measured_by, pictures_of, slider_mark, thumbnail
from pipeline.demo.privacy import Uploads
from pipeline.demo.visit import FittingRoom, Garment, Visit, on_sliders
from pipeline.tryon.pictures import clamped
from pipeline.tryon.size_aware import TryOnResult
from preprocess.sizes.axes import FIT_AXIS, axes_of
from preprocess.sizes.centimetres import Wearer
from preprocess.sizes.chart import SizeChart
from preprocess.sizes.request import SizeRequest
from preprocess.vocabulary import Category

log = logging.getLogger(__name__)

PROGRESS = gr.Progress()

NO_CHART = SizeChart(sizes={})
"""Of a category without one: it has no buttons."""


def as_message(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Let an error of a handler appear on the page as a message, escaped; an unforeseen one is logged."""

    @wraps(handler)
    def handle(*arguments: Any) -> Any:
        try:
            return handler(*arguments)
        except (ValueError, OSError) as error:
            raise gr.Error(html.escape(str(error)), print_exception=False) from error
        except Exception as error:
            log.exception("the demo failed")
            message = "Something went wrong here, and was written to the log"
            raise gr.Error(message, print_exception=False) from error

    return handle


class Answers:
    """Handlers of the page's events. Each gets the page's values and returns what changes on it.

    The buttons have the sizes of the chart, and for garments of other categories than its those of `others`.
    """

    controls: Controls
    page: gr.Blocks

    def __init__(
        self, room: FittingRoom, chart: SizeChart, others: Mapping[Category, SizeChart] = MappingProxyType({})
    ) -> None:
        self.room = room
        self.chart = chart
        self.others = others
        self.uploads = Uploads()

    @as_message
    def arrive(self, values: Values, progress: gr.Progress = PROGRESS) -> Update:
        """Begin with the first person, in the first garment that they can wear."""
        visit = self.visit(values)
        update = self.dressed(visit, self.room.arrive(visit))
        return update | self.at_natural(visit, values, progress)

    @as_message
    def choose_person(
        self, values: Values, chosen: gr.SelectData, progress: gr.Progress = PROGRESS
    ) -> Update:
        """Take the person that was clicked on, and another garment if they can't wear this one."""
        visit = self.visit(values)
        before = visit.garment
        self.room.choose_person(visit, chosen.index)
        update: Update = {self.controls.people: gr.Gallery(selected_index=chosen.index)}
        if visit.garment is not None and visit.garment is not before:
            update |= self.dressed(visit, visit.garment)
            values = {**values, self.controls.caption: visit.garment.caption}
        return update | self.without_strip(visit) | self.at_natural(visit, values, progress)

    @as_message
    def bring_person(self, values: Values, progress: gr.Progress = PROGRESS) -> Update:
        """Take the visitor's own photo."""
        visit = self.visit(values)
        photo = self.uploads.take(Path(values[self.controls.person_upload]))
        self.room.bring_person(visit, photo)
        gallery = last_of([person.photo for person in visit.people])
        update = {self.controls.people: gallery, self.controls.person_upload: None}
        return update | self.without_strip(visit) | self.at_natural(visit, values, progress)

    @as_message
    def choose_garment(
        self, values: Values, chosen: gr.SelectData, progress: gr.Progress = PROGRESS
    ) -> Update:
        """Take the garment that was clicked on, and another person if this one can't wear it."""
        visit = self.visit(values)
        before = visit.category
        garment = self.room.choose_garment(visit, chosen.index)
        values = {**values, self.controls.caption: garment.caption}
        update = self.dressed(visit, garment) | self.without_strip(visit)
        if visit.category != before:
            update[self.controls.people] = gr.Gallery(selected_index=visit.place)
            return update | self.at_natural(visit, values, progress)
        return update | self.drawn(visit, values, progress)

    @as_message
    def choose_category(self, values: Values, progress: gr.Progress = PROGRESS) -> Update:
        """Take the garment for one of the category that was chosen; the buttons go back if that can't be."""
        visit = self.visit(values)
        try:
            self.room.try_category(visit, Category(values[self.controls.category]))
        except ValueError as error:
            gr.Warning(html.escape(str(error)))
            return self.kept(visit) | self.worn(visit)
        return self.without_strip(visit) | self.worn(visit) | self.at_natural(visit, values, progress)

    @as_message
    def bring_garment(self, values: Values, progress: gr.Progress = PROGRESS) -> Update:
        """Take the visitor's own garment."""
        visit = self.visit(values)
        self.room.bring_garment(visit, self.uploads.take(Path(values[self.controls.garment_upload])))
        controls, gallery = self.controls, last_of([garment.photo for garment in visit.garments])
        update = {controls.garments: gallery, controls.garment_upload: None, controls.caption: ""}
        values = {**values, controls.caption: ""}
        return update | self.without_strip(visit) | self.drawn(visit, values, progress)

    @as_message
    def draw(self, values: Values, progress: gr.Progress = PROGRESS) -> Update:
        """Draw at the size of the sliders."""
        visit = self.visit(values)
        sliders = dict(zip(self.room.axis_names, self.controls.sliders, strict=True))
        own = axes_of(visit.category)
        ratios = {name: values[slider] for name, slider in sliders.items() if name in own}
        visit.size = SizeRequest.of(ratios, category=visit.category)
        return {self.controls.chart: None} | self.drawn(visit, values, progress)

    @as_message
    def back_to_natural(self, values: Values, progress: gr.Progress = PROGRESS) -> Update:
        """Draw at the size at which the person wears a garment in the photo."""
        return self.at_natural(self.visit(values), values, progress)

    @as_message
    def choose_size(self, values: Values, progress: gr.Progress = PROGRESS) -> Update:
        """Draw at a size of the chart, and move the sliders there; those that it leaves open stay."""
        visit = self.visit(values)
        size = self.charted(visit, values[self.controls.chart], values)
        visit.size = on_sliders((*visit.size.asked, *size.asked), visit.category)
        moved = {self.controls.chart: values[self.controls.chart]} | self.moved(visit)
        return moved | self.drawn(visit, values, progress)

    @as_message
    def draw_around(self, values: Values, progress: gr.Progress = PROGRESS) -> Update:
        """Draw sizes from smaller to larger than the natural one."""
        visit = self.visit(values)
        return self.strip(visit, self.room.around(visit), values, progress)

    @as_message
    def preview_around(self, values: Values) -> Update:
        """Show the garment of the photo itself, resized without the network."""
        visit = self.visit(values)
        sizes = self.room.around(visit)
        return self.side_by_side(visit, sizes, self.room.preview(visit, list(sizes.values())), values)

    @as_message
    def draw_chart(self, values: Values, progress: gr.Progress = PROGRESS) -> Update:
        """Draw every size of the chart."""
        visit = self.visit(values)
        names = self.chart_of(visit.category).sizes
        sizes = {name: self.charted(visit, name, values) for name in names}
        return self.strip(visit, sizes, values, progress)

    @as_message
    def switch_overlays(self, values: Values) -> Update:
        """Show what is there once more, with or without lines over it."""
        visit = self.visit(values)
        visit.overlays = values[self.controls.overlays]
        return self.shown_again(visit, values, picture=True, strip=True)

    @as_message
    def catch_up(self, values: Values) -> Update:
        """Show the last picture once more, after an answer has reached the page.

        Answers to touches may pass each other: boxes may have been ticked while the picture was on its way,
        and the answer to a tick, which shows the picture before, may arrive behind it.
        """
        return self.shown_again(self.visit(values), values, picture=True, strip=False)

    @as_message
    def catch_up_strip(self, values: Values) -> Update:
        """Do so with the sizes side by side, which a picture that is drawn later doesn't concern."""
        return self.shown_again(self.visit(values), values, picture=False, strip=True)

    def shown_again(self, visit: Visit, values: Values, *, picture: bool, strip: bool) -> Update:
        """Show the last picture or the sizes side by side with what is ticked now."""
        shown, beside, overlays = visit.result, visit.strip, self.overlays(visit, values)
        pictures: Update = {}
        if picture and shown is not None:
            pictures[self.controls.picture] = pictures_of(shown, overlays)[0]
        if strip and beside is not None:
            names, result = beside
            pictures[self.controls.strip] = list(zip(pictures_of(result, overlays), names, strict=True))
        # another person may have been chosen meanwhile, whose answer must not be overwritten
        overtaken = visit.result is not shown or visit.strip is not beside
        return self.kept(visit) | ({} if overtaken else pictures)

    def leave(self, request: gr.Request) -> None:
        """Forget who closed the page: Gradio itself would wait an hour for them to come back."""
        session = str(request.session_hash)
        if session not in self.page.state_holder:
            return
        visit = self.page.state_holder[session].get(self.controls.visit._id)
        if visit is not None:
            visit.over = True
        self.page.state_holder.delete_state(session)

    def visit(self, values: Values) -> Visit:
        """Return what is remembered of the visitor, a new visit after it was forgotten."""
        return values[self.controls.visit] or self.room.new_visit()

    def kept(self, visit: Visit) -> Update:
        """Remember a visit from now on for `FORGET_AFTER`, unless its page was closed while it was drawn."""
        return {self.controls.visit: None if visit.over else visit}

    def at_natural(self, visit: Visit, values: Values, progress: gr.Progress) -> Update:
        """Move the sliders and their marks to the natural size, and draw it."""
        natural = visit.person.natural_size if visit.person else None
        known = (natural or SizeRequest(category=visit.category)).ratios()
        ends = self.room.range(visit.category)
        marks = {
            mark: slider_mark(ends[name], known[name]) if name in ends else ""
            for mark, name in zip(self.controls.marks, self.room.axis_names, strict=True)
        }
        visit.size = on_sliders(self.room.natural(visit).asked, visit.category)
        return {
            self.controls.chart: self.unchosen(visit),
            **marks,
            **self.moved(visit),
            **self.drawn(visit, values, progress),
        }

    def charted(self, visit: Visit, name: str | None, values: Values) -> SizeRequest:
        """Return the ratios of a size of the chart on a person of the measures on the page."""
        controls = self.controls
        girths = {"chest_cm": controls.chest, "waist_cm": controls.waist, "hip_cm": controls.hip}
        measures = {girth: values[control] for girth, control in girths.items()}
        height, needed = values[controls.height], {"chest_cm": "chest"}
        if visit.category is Category.LOWER:
            needed = {"waist_cm": "waist", "hip_cm": "hips"}
        if name is None or height is None or any(measures[girth] is None for girth in needed):
            asked = ", ".join(needed.values())
            raise ValueError(f"A size of the chart needs the person's measures: fill in {asked} and height")
        chart = self.chart_of(visit.category)
        size = chart.request(name, Wearer(**measures, height_cm=height))
        return size.clamped(self.room.range(visit.category))

    def chart_of(self, category: Category) -> SizeChart:
        """Return the sizes for the buttons of a category."""
        return self.chart if self.chart.category == category else self.others.get(category, NO_CHART)

    def dressed(self, visit: Visit, garment: Garment) -> Update:
        """Say which garment was chosen, and what is tried on with it."""
        return {
            self.controls.garments: gr.Gallery(selected_index=visit.garments.index(garment)),
            self.controls.caption: garment.caption,
        } | self.worn(visit)

    def worn(self, visit: Visit) -> Update:
        """Say what is tried on, and what its sizes are."""
        return {self.controls.category: str(visit.category), self.controls.hint: measured_by(visit.category)}

    def moved(self, visit: Visit) -> Update:
        """Put the sliders where the size of the visit is; of what its category lacks there is none."""
        if len(self.room.categories) < 2:
            return dict(zip(self.controls.sliders, visit.size.ratios().values(), strict=True))
        ratios, ends = visit.size.ratios(), self.room.range(visit.category)
        return {
            slider: gr.Slider(*ends[name], ratios[name], visible=True)
            if name in ends
            else gr.Slider(visible=False)
            for name, slider in zip(self.room.axis_names, self.controls.sliders, strict=True)
        }

    def unchosen(self, visit: Visit) -> gr.Radio | None:
        """Return the buttons of the chart, none of them chosen."""
        if len(self.room.categories) < 2:
            return None
        return gr.Radio(list(self.chart_of(visit.category).sizes), value=None)

    def drawn(self, visit: Visit, values: Values, progress: gr.Progress) -> Update:
        """Draw at the size of the visit; remember the result for overlays."""
        visit.result = self.try_on(visit, [visit.size], values, progress)
        notes = visit.person.notes if visit.person else []
        moved = clamped(visit.size, visit.result.requests[0], self.room.range(visit.category))
        return self.kept(visit) | {
            self.controls.picture: pictures_of(visit.result, self.overlays(visit, values))[0],
            self.controls.fit: fit_table(visit.result.fit, [*notes, *moved]),
        }

    def overlays(self, visit: Visit, values: Values) -> Sequence[str]:
        """Return what is drawn over pictures: boxes may have been ticked since the values were sent."""
        return values[self.controls.overlays] if visit.overlays is None else visit.overlays

    def without_strip(self, visit: Visit) -> Update:
        """Take the strip off the page: it shows another person or garment."""
        visit.strip = None
        return {self.controls.strip: []}

    def strip(
        self, visit: Visit, sizes: Mapping[str, SizeRequest], values: Values, progress: gr.Progress
    ) -> Update:
        """Draw several sizes; show each with its name and what was asked for."""
        result = self.try_on(visit, list(sizes.values()), values, progress)
        return self.side_by_side(visit, sizes, result, values)

    def side_by_side(
        self, visit: Visit, sizes: Mapping[str, SizeRequest], result: TryOnResult, values: Values
    ) -> Update:
        """Show pictures with their names and what was asked for; remember them for overlays."""
        ratios = [size[FIT_AXIS] for size in result.requests]
        told = [f"{FIT_AXIS} unknown" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        names = [f"{name}: {one}" for name, one in zip(sizes, told, strict=True)]
        visit.strip = names, result
        pictures = pictures_of(result, self.overlays(visit, values))
        return self.kept(visit) | {self.controls.strip: list(zip(pictures, names, strict=True))}

    def try_on(
        self, visit: Visit, sizes: list[SizeRequest], values: Values, progress: gr.Progress
    ) -> TryOnResult:
        """Run the networks with the settings of the page."""
        controls = self.controls
        options = DrawingOptions(
            seed=values[controls.seed] or 0,
            num_steps=values[controls.num_steps],
            text_guidance=values[controls.text_guidance],
            size_guidance=values[controls.size_guidance],
            sampler=values[controls.sampler],
            garment_refresh=int(values[controls.garment_refresh]),
        )
        caption = values[controls.caption]
        return self.room.try_on(
            visit, sizes, options, caption, lambda done, of: progress((done, of), desc="Drawing")
        )


def last_of(photos: Sequence[Picture]) -> gr.Gallery:
    """Return choices of which the last one is chosen."""
    return gr.Gallery([thumbnail(photo) for photo in photos], selected_index=len(photos) - 1)
