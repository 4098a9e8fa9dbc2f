"""A stock UNet behind our interface gives the numbers of CatVTON's own code, from its released layout."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.testing import assert_close

from model.bases.catvton.networks import CatvtonBase
from model.params import DrawingOptions
from model.sampling import sample_tryon
from tests.model.catvton import GOLDEN, Golden
from tests.model.golden import SHARED

SINGLE = {"rtol": 0, "atol": 1e-4}
SAMPLED = {"rtol": 0, "atol": 1e-3}

needs_golden = pytest.mark.skipif(
    not GOLDEN, reason=f"no golden folders of CatVTON below {SHARED} (set CINDERELLA_SHARED)"
)
FOLDERS = [pytest.param(folder, id=folder.name) for folder in GOLDEN] or [
    pytest.param(SHARED, id="golden", marks=needs_golden)
]


@pytest.fixture(scope="module", params=FOLDERS)
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return Golden(request.param, tmp_path_factory.mktemp("released"))


@torch.no_grad()
def test_the_unet_reads_what_it_was_trained_on(golden: Golden) -> None:
    base, seen = golden.base, []
    hook = base.unet.conv_in.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    base.predict(golden.inputs["noisy_latents"], torch.tensor(1), base.condition(golden.encodings()))
    hook.remove()
    assert torch.equal(seen[0], golden.outputs["unet_input"])


@torch.no_grad()
@pytest.mark.parametrize("number", [0, 1])
def test_noise_prediction_with_and_without_the_garment(golden: Golden, number: int) -> None:
    told = golden.base.condition(golden.encodings())
    for name, conditioning in (
        ("noise_pred", told),
        ("noise_pred_without_garment", told.unconditional()),
    ):
        noisy, timestep = golden.inputs["noisy_latents"], golden.inputs["timesteps"][number]
        prediction = golden.base.predict(noisy, timestep, conditioning)
        assert_close(prediction, golden.outputs[f"{name}.{number}"], **SINGLE)


@torch.no_grad()
def test_a_timestep_for_each_row_and_a_garment_hidden_from_one(golden: Golden) -> None:
    told = golden.base.condition(golden.encodings())
    noisy, timesteps = golden.inputs["noisy_latents"], golden.inputs["timestep_vector"]
    prediction = golden.base.predict(noisy, timesteps, told)
    assert_close(prediction, golden.outputs["noise_pred_vector"], **SINGLE)

    first = torch.arange(len(noisy)) == 0
    mixed = golden.base.predict(noisy, golden.inputs["timesteps"][0], told.unconditional(first))
    hidden, seen = golden.outputs["noise_pred_without_garment.0"], golden.outputs["noise_pred.0"]
    assert_close(mixed, torch.cat([hidden[:1], seen[1:]]), **SINGLE)


@torch.no_grad()
def test_training_noises_both_halves(golden: Golden) -> None:
    base, encodings = golden.base, golden.encodings()
    noise, timesteps = golden.inputs["training_noise"], golden.inputs["timestep_vector"]
    noisy = base.noising.add_noise(base.denoised(encodings), noise, timesteps)
    assert_close(noisy, golden.outputs["training_noisy_latents"], **SINGLE)
    prediction = base.predict(noisy, timesteps, base.condition(encodings))
    assert_close(prediction, golden.outputs["training_pred"], **SINGLE)
    assert torch.equal(base.noising.loss_target(base.denoised(encodings), noise, timesteps), noise)


@pytest.mark.parametrize("run", ["guided", "plain", "guided_eta0"])
def test_four_steps_of_sampling(golden: Golden, run: str) -> None:
    wanted = golden.config["runs"][run]
    options = DrawingOptions(
        num_steps=golden.config["steps"], text_guidance=wanted["guidance_scale"], eta=wanted["eta"]
    )
    latents = sample_tryon(
        golden.base,
        golden.base.condition(golden.encodings()),
        options,
        noise=golden.inputs[f"{run}.noise"],
        fresh=lambda step: golden.inputs[f"{run}.variance_noise.{step - 1}"],
    )
    assert_close(latents, golden.outputs[f"{run}.person_latents"], **SAMPLED)


def test_the_mask_comes_down_to_the_grid_by_the_nearest_pixel(golden: Golden) -> None:
    painted = golden.inputs["mask_pixels"][:, 0].float() / 255 >= 0.5
    pixels = torch.zeros(*painted.shape, 3, dtype=torch.uint8)
    with torch.no_grad():
        encodings = golden.base.encode(Pictures(pixels, painted.to(torch.uint8)))
    assert torch.equal(encodings["mask"], golden.inputs["mask_latents"])
    assert encodings["garment_latents"].shape == golden.inputs["garment_latents"].shape


class Pictures:
    """Photos as the stream gives them."""

    captions: tuple[str, ...] = ()

    def __init__(self, pixels: Tensor, inpaint_mask: Tensor) -> None:
        self.image = self.cloth = self.densepose = pixels
        self.inpaint_mask = inpaint_mask


def test_saving_gives_back_both_files_number_for_number(golden: Golden, tmp_path: Path) -> None:
    golden.base.save_pretrained(tmp_path)
    attention = load_file(tmp_path / "attention" / "model.safetensors")
    assert attention.keys() == golden.attention.keys()
    assert all(torch.equal(attention[name], weight.float()) for name, weight in golden.attention.items())
    unet = load_file(tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    assert unet.keys() == golden.unet.keys()
    untrained = [name for name in unet if ".attn1." not in name]
    assert all(torch.equal(unet[name], golden.unet[name].float()) for name in untrained)
    again = CatvtonBase.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(again[name], weight) for name, weight in golden.base.state_dict().items())


def without(golden: Golden) -> dict[str, Tensor]:
    return {name: weight for name, weight in golden.attention.items() if name != "8.to_q.weight"}


def with_processors(golden: Golden) -> dict[str, Tensor]:
    return golden.attention | {"7.to_q.weight": torch.zeros(1)}


def counted_by_sevens(golden: Golden) -> dict[str, Tensor]:
    """As if processors were no modules: CatVTON's own loader would put nothing in place, and say nothing."""
    split = {name: name.split(".", 1) for name in golden.attention}
    return {f"{int(n) // 8 * 7}.{rest}": golden.attention[name] for name, (n, rest) in split.items()}


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        pytest.param(without, ["1 missing:", "  8.to_q.weight"], id="missing"),
        pytest.param(with_processors, ["1 not expected:", "  7.to_q.weight"], id="unexpected"),
        pytest.param(counted_by_sevens, ["missing:", "  8.to_v.weight", "not expected:"], id="renumbered"),
    ],
)
def test_attention_that_does_not_fit_is_listed(
    golden: Golden,
    tmp_path: Path,
    change: Callable[[Golden], dict[str, Tensor]],
    messages: list[str],
) -> None:
    golden.base.save_pretrained(tmp_path)
    file = tmp_path / "attention" / "model.safetensors"
    file.unlink()
    with pytest.raises(FileNotFoundError, match="it is the attention that CatVTON trained"):
        CatvtonBase.from_pretrained(tmp_path)
    save_file(change(golden), file)
    with pytest.raises(ValueError, match=re.escape(f"the weights in {file} are not those")) as error:
        CatvtonBase.from_pretrained(tmp_path)
    assert all(message in str(error.value) for message in messages)
