"""The demo's page: what stands where, and which answer belongs to what."""

from pathlib import Path
from typing import Any, get_args

import gradio as gr

from model.bases import EULER, entry_of
from model.params import DrawingOptions, Sampler
from model.sampling import garment_refresh, steps_of, text_guidance_of
from pipeline.demo.answers import Answers
from pipeline.demo.controls import Controls
from pipeline.demo.pictures import OUTLINE, SIZE_MAP, measured_by, thumbnail
from pipeline.demo.privacy import ENDINGS, FORGET_AFTER, MAX_BYTES, MOST_VISITORS
from preprocess.vocabulary import Category

CSS = Path(__file__).with_name("demo.css")

MAX_WAITING = 16
"""When so many wait, a newcomer is asked to come back later."""

NETWORKS: dict[str, Any] = {"concurrency_id": "networks", "concurrency_limit": 1}
"""Of every event that runs the networks: one at a time, so that waiting times can be told."""

HEAD = """<h1>Cinderella</h1><p>See how a garment fits at the size you ask for. Photos stay on the computer
that serves this page: an upload lies in a private folder for a minute or two, what is shown of it for a
quarter of an hour, and its memory forgets them when you leave, or after a quarter of an hour.</p>"""

KEYS = """<script>
let atRest;
document.addEventListener("keyup", event => {
  if (!event.target.matches("input[type=range]") || !/^(Arrow|Page|Home|End)/.test(event.key)) return;
  clearTimeout(atRest);
  const letGo = () => event.target.dispatchEvent(new PointerEvent("pointerup", {bubbles: true}));
  atRest = setTimeout(letGo, 300);
});</script>"""
"""Gradio's sliders tell that they were let go of by a pointer; this lets arrow keys say the same when they
rest, so that ten steps are one picture."""

THEME = gr.themes.Default(
    primary_hue="emerald", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)
"""With fonts of the visitor's own computer: Gradio's default asks Google for them."""


def build_page(answers: Answers) -> gr.Blocks:
    """Return the page, not yet served."""
    with gr.Blocks(title="Cinderella", analytics_enabled=False, delete_cache=(60, 900)) as page:
        gr.HTML(HEAD, elem_id="head")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=260):
                choices = lay_out_choices(answers)
            with gr.Column(scale=5, min_width=300):
                picture = lay_out_picture()
            with gr.Column(scale=4, min_width=280):
                sizes = lay_out_sizes(answers)
        strip = lay_out_strip()
        visit = gr.State(time_to_live=FORGET_AFTER)
        controls = Controls(visit=visit, **choices, **picture, **sizes, **strip)
        wire(page, controls, answers)
    return page


def launch(page: gr.Blocks, host: str, port: int | None) -> str:
    """Serve the page in the background and return its URL.

    Raises:
        OSError: The port is taken.
    """
    page.queue(max_size=MAX_WAITING, api_open=False)
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        state_session_capacity=MOST_VISITORS,
        max_file_size=MAX_BYTES,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        theme=THEME,
        css_paths=CSS,
        head=KEYS,
    )
    return str(address)


def lay_out_choices(answers: Answers) -> dict[str, Any]:
    """Person and garment: examples, or the visitor's own."""
    look: dict[str, Any] = {
        "columns": 4,
        "allow_preview": False,
        "interactive": False,
        "object_fit": "cover",
        "elem_classes": ["pictures", "choices"],
        "buttons": [],
        "selected_index": 0,
    }
    people = [thumbnail(person.photo) for person in answers.room.people]
    garments = [thumbnail(garment.photo) for garment in answers.room.garments]
    return {
        "people": gr.Gallery(people, label="Person", elem_id="people", **look),
        "person_upload": gr.UploadButton(
            "Your own photo", file_types=list(ENDINGS), elem_id="person-upload", size="sm"
        ),
        "garments": gr.Gallery(garments, label="Garment", elem_id="garments", **look),
        "garment_upload": gr.UploadButton(
            "Your own garment", file_types=list(ENDINGS), elem_id="garment-upload", size="sm"
        ),
        "caption": gr.Textbox(label="The garment in words", max_length=200, elem_id="caption"),
    }


def lay_out_picture() -> dict[str, Any]:
    """The picture, and what may be drawn over it."""
    look: dict[str, Any] = {"format": "png", "interactive": False, "buttons": ["download", "fullscreen"]}
    return {
        "picture": gr.Image(label="At this size", elem_id="picture", **look),
        "overlays": gr.CheckboxGroup([SIZE_MAP, OUTLINE], label="Show over it", elem_id="overlays"),
    }


def lay_out_sizes(answers: Answers) -> dict[str, Any]:
    """The size by sliders or by a chart, what is measured in the picture, and how it is made."""
    room = answers.room
    first = room.new_visit().category
    category = gr.Radio(
        list(map(str, room.categories)),
        value=str(first),
        label="What is tried on",
        visible=len(room.categories) > 1,
        elem_id="category",
    )
    hint = gr.HTML(measured_by(first), elem_classes="hint")
    sliders, marks = [], []
    for name in room.axis_names:
        ends = room.range(first).get(name)
        with gr.Group():
            sliders.append(
                gr.Slider(
                    *(ends or (0.0, 1.0)),
                    step=0.01,
                    label=name.capitalize(),
                    visible=ends is not None,
                    elem_id=f"size-{name}",
                    elem_classes="ratio",
                    buttons=[],
                )
            )
            marks.append(gr.HTML(elem_id=f"mark-{name}", elem_classes="mark-block"))
    natural = gr.Button("Back to the natural size", size="sm", elem_id="natural")
    chart = gr.Radio(list(answers.chart_of(first).sizes), label="Sizes of the chart", elem_id="chart")
    fit = gr.HTML(elem_id="fit")
    with gr.Accordion("Measures of the person (cm)", open=False), gr.Row():
        chest = gr.Number(92, label="Around the chest", minimum=50, maximum=200, min_width=120)
        below: dict[str, Any] = {"minimum": 40, "maximum": 200, "min_width": 120}
        waist = gr.Number(78, label="Around the waist", visible=Category.LOWER in room.categories, **below)
        hip = gr.Number(98, label="Around the hips", visible=Category.LOWER in room.categories, **below)
        height = gr.Number(172, label="Height", minimum=100, maximum=230, min_width=120)
    with gr.Accordion("How the picture is made", open=False):
        settings = lay_out_settings(answers)
    return {
        "sliders": sliders,
        "marks": marks,
        "fit": fit,
        "natural": natural,
        "chart": chart,
        "category": category,
        "hint": hint,
        "chest": chest,
        "waist": waist,
        "hip": hip,
        "height": height,
        **settings,
    }


def lay_out_settings(answers: Answers) -> dict[str, Any]:
    """How the picture is made: what `DrawingOptions` has, as far as a visitor may choose it."""
    usual, base = DrawingOptions(), answers.room.tryon.base
    samplers = [EULER] if entry_of(base.name).flow_matching else list(get_args(Sampler))
    sliders = {
        "num_steps": gr.Slider(
            1, 50, steps_of(base, usual), step=1, label="Steps", buttons=[], elem_id="steps"
        ),
        "text_guidance": gr.Slider(
            1, 10, text_guidance_of(base, usual), step=0.1, label="Text guidance", buttons=[]
        ),
        "size_guidance": gr.Slider(1, 5, usual.size_guidance, step=0.1, label="Size guidance", buttons=[]),
    }
    return sliders | {
        "seed": gr.Number(
            usual.seed, label="Seed", minimum=0, maximum=2**31 - 1, precision=0, elem_id="seed"
        ),
        "sampler": gr.Radio(
            samplers, value=usual.sampler, label="Sampler", elem_id="sampler", visible=len(samplers) > 1
        ),
        "garment_refresh": gr.Checkbox(
            bool(garment_refresh(base, usual)), label="Look at the garment at every step", elem_id="refresh"
        ),
    }


def lay_out_strip() -> dict[str, Any]:
    """Several sizes side by side."""
    with gr.Row():
        around = gr.Button("All sizes: three smaller to three larger", variant="primary", elem_id="all-sizes")
        charted = gr.Button("All sizes of the chart", elem_id="all-charted")
        previewed = gr.Button("Preview: the photo's own garment, without the network", elem_id="preview")
    strip = gr.Gallery(
        label="All sizes, by their width",
        elem_id="strip",
        elem_classes="pictures",
        columns=7,
        format="png",
        interactive=False,
        object_fit="contain",
        buttons=["download", "fullscreen"],
    )
    return {"around": around, "charted": charted, "previewed": previewed, "strip": strip}


def wire(page: gr.Blocks, controls: Controls, answers: Answers) -> None:
    """Connect what is touched with its answer."""
    answers.controls, answers.page = controls, page
    given = controls.inputs()
    drawn = [controls.picture, controls.fit, controls.visit]
    strip = [controls.strip, controls.visit]
    sized = [*drawn, *controls.sliders, *controls.marks, controls.chart]
    worn = [controls.category, controls.hint]
    on_picture: dict[str, Any] = {
        "show_progress_on": controls.picture,
        # Gradio's always_last would run the last touch with what the first one was about
        "trigger_mode": "multiple",
        **NETWORKS,
    }
    both = [controls.people, controls.garments, controls.strip, controls.caption, *sized, *worn]
    own_person = [controls.person_upload, *both]
    own_garment = [controls.garment_upload, *both]

    changes = [slider.release for slider in (*controls.sliders, *controls.settings_sliders())]
    changes += [controls.seed.submit, controls.seed.blur, controls.caption.submit]
    changes += [controls.sampler.input, controls.garment_refresh.input]
    drawings = (
        page.load(answers.arrive, given, both, **on_picture),
        controls.people.select(answers.choose_person, given, both, **on_picture),
        controls.person_upload.upload(
            answers.bring_person, given | {controls.person_upload}, own_person, **on_picture
        ),
        controls.garments.select(answers.choose_garment, given, both, **on_picture),
        controls.garment_upload.upload(
            answers.bring_garment, given | {controls.garment_upload}, own_garment, **on_picture
        ),
        controls.category.input(
            answers.choose_category, given, [controls.strip, *sized, *worn], **on_picture
        ),
        gr.on(changes, answers.draw, given, [*drawn, controls.chart], api_name="draw", **on_picture),
        controls.natural.click(answers.back_to_natural, given, sized, **on_picture),
        controls.chart.input(answers.choose_size, given, sized, **on_picture),
    )
    strips = (
        controls.around.click(answers.draw_around, given, strip, api_name="all_sizes", **NETWORKS),
        controls.charted.click(answers.draw_chart, given, strip, **NETWORKS),
        controls.previewed.click(answers.preview_around, given, strip, **NETWORKS),
    )
    # a box that is ticked while a picture is on its way has its answer before or behind the picture
    overlaid: dict[str, Any] = {"queue": False, "show_progress": "hidden", "trigger_mode": "always_last"}
    ticked = controls.overlays.input(answers.switch_overlays, given, [controls.picture, *strip], **overlaid)
    for answer in (*drawings, ticked):
        answer.success(answers.catch_up, given, [controls.picture, controls.visit], **overlaid)
    for answer in (*strips, ticked):
        answer.success(answers.catch_up_strip, given, strip, **overlaid)
    page.unload(answers.leave)
