"""What holds of every base with an adapter, in the words of the interface alone: a new one is a line here."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from model.adapter.adapter import PARTS, SizeAdapter
from model.adapter.body_maps import body_maps
from model.bases.base import TryOnBase
from model.bases.catvton.tiny import TinyCatvtonPreset, build_tiny_catvton
from model.bases.conditions import Conditioning, SizeCondition
from model.bases.flux2_klein.tiny import TinyKleinPreset, build_tiny_klein
from model.bases.memory import num_updates
from model.bases.tiny.networks import build_tiny_base
from model.params import DrawingOptions
from model.sampling import sample_tryon
from tests.made_up_base import MadeUpBase
from tests.model.catvton import small_base
from tests.model.conftest import BATCH, PRESET, jolt, keypoints, photos
from tests.model.klein import small_klein
from tests.sizes import MEANINGS

TINY_CATVTON = TinyCatvtonPreset(
    image_height=PRESET.image_height, image_width=PRESET.image_width, vae_width=8
)

MADE: dict[str, Callable[[], TryOnBase]] = {
    "tiny": lambda: build_tiny_base(PRESET, seed=0),
    "catvton": small_base,
    "tiny_catvton": lambda: build_tiny_catvton(TINY_CATVTON, seed=0),
    "flux2_klein": small_klein,
    "tiny_klein": lambda: build_tiny_klein(TinyKleinPreset(vae_width=8), seed=0),
    "made_up": MadeUpBase,
}
"""How small ones are made, with random weights."""

RATIOS = torch.tensor([[1.0, 1.2, float("nan")], [float("nan"), 0.9, 1.1]])
TIMESTEPS = torch.tensor([400, 700])


class Case:
    """A base, frozen, with what it is told of two people."""

    def __init__(self, base: TryOnBase) -> None:
        self.base = base.requires_grad_(False)
        with torch.no_grad():
            told = base.told(photos())
            self.told: Conditioning = base.with_garment(told, torch.zeros_like(TIMESTEPS))
        self.noise = torch.randn(told.canvas.shape, generator=torch.Generator().manual_seed(1))

    def adapter(self, **choices: object) -> SizeAdapter:
        torch.manual_seed(0)
        adapter = SizeAdapter.for_sites(self.base.sites(), MEANINGS, **choices)
        adapter.attach(self.base.sites())
        return adapter

    def size(self, adapter: SizeAdapter, **more: Tensor) -> SizeCondition:
        grid = (self.told.mask.shape[2], self.told.mask.shape[3])
        maps = body_maps(keypoints(), (PRESET.image_height, PRESET.image_width), grid)
        return adapter(RATIOS, maps, garment_features=self.told.garment_features, **more)

    def predict(self, size: SizeCondition | None) -> Tensor:
        return self.base.predict(self.noise, TIMESTEPS, self.told, size)


@pytest.fixture(scope="module", params=MADE)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(MADE[request.param]())


@torch.no_grad()
@pytest.mark.parametrize("encoder", ["simple", "hybrid"])
def test_a_fresh_adapter_and_no_strength_are_the_base_bit_for_bit(case: Case, encoder: str) -> None:
    alone = case.predict(None)
    adapter = case.adapter(encoder=encoder)
    assert torch.equal(case.predict(case.size(adapter)), alone)
    size = case.size(jolt(adapter))
    assert not torch.allclose(case.predict(size), alone, atol=1e-2)
    assert torch.equal(case.predict(size.scaled(0.0)), alone)
    assert torch.equal(case.predict(None), alone), "detached: a size leaves nothing behind"


@torch.no_grad()
@pytest.mark.parametrize("part", PARTS)
def test_each_part_acts_alone_where_the_base_has_a_place_for_it(case: Case, part: str) -> None:
    size = case.size(jolt(case.adapter(parts=(part,))))
    acts = not torch.allclose(case.predict(size), case.predict(None), atol=1e-3)
    assert acts == (part != "tokens" or bool(case.base.sites().tokens))


def test_every_tensor_of_the_adapter_learns_and_none_of_the_base(case: Case) -> None:
    def weights() -> str:
        state = case.base.state_dict().items()
        return hashlib.sha256(b"".join(weight.numpy().tobytes() for _, weight in sorted(state))).hexdigest()

    before, adapter = weights(), case.adapter(encoder="hybrid")
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=0.05)
    seen: set[str] = set()
    for step in range(3):
        optimizer.zero_grad()
        case.predict(case.size(adapter, fit_labels=torch.tensor([step, -1]))).square().mean().backward()
        seen |= {name for name, w in adapter.named_parameters() if w.grad is not None and w.grad.any()}
        optimizer.step()
    assert seen == {name for name, _ in adapter.named_parameters()}
    assert weights() == before


@torch.no_grad()
def test_a_size_and_a_row_concern_their_own_person_alone(case: Case) -> None:
    adapter = jolt(case.adapter())
    first = case.predict(case.size(adapter))
    told, size = (rows.map(lambda x: x[1:]) for rows in (case.told, case.size(adapter)))
    alone = case.base.predict(case.noise[1:], TIMESTEPS[1:], told, size)
    assert_close(alone, first[1:], rtol=0, atol=1e-5)


def test_pictures_of_a_person_come_out_of_the_canvas(case: Case) -> None:
    options = DrawingOptions(num_steps=2, size_guidance=1.5, text_guidance=2.0)
    adapter = jolt(case.adapter())
    with torch.no_grad():
        size, told = case.size(adapter), case.base.told(photos())
    latents = sample_tryon(case.base, told, options, noise=case.noise, size=size, size_unknown=size)
    assert latents.shape == (BATCH, case.base.latent_channels, *told.mask.shape[2:])
    with torch.no_grad():
        pictures = case.base.to_images(latents)
    assert pictures.shape == (BATCH, 3, PRESET.image_height, PRESET.image_width)
    assert pictures.isfinite().all()


@pytest.mark.parametrize("name", sorted(set(MADE) - {"made_up"}))
def test_what_was_stored_in_half_precision_draws_as_it_is_opened(name: str, tmp_path: Path) -> None:
    """The autoencoder comes in full precision, whatever it was stored in, and the networks as they were."""
    MADE[name]().to(torch.bfloat16).save_pretrained(tmp_path)
    case = Case(type(MADE[name]()).from_pretrained(tmp_path))
    assert case.base.denoiser.dtype == torch.bfloat16
    adapter = jolt(case.adapter(encoder="hybrid"))
    with torch.no_grad():
        size, told = case.size(adapter), case.base.told(photos())
    options = DrawingOptions(num_steps=2, text_guidance=2.0)
    latents = sample_tryon(case.base, told, options, noise=case.noise, size=size)
    assert latents.isfinite().all()
    case.predict(case.size(adapter)).sum().backward()
    assert adapter.encoder.input.weight.grad is not None


@pytest.mark.parametrize("name", [name for name in MADE if name != "made_up"])  # no network of diffusers
def test_as_many_updates_are_counted_as_learn(name: str) -> None:
    base = MADE[name]().requires_grad_(False)
    counted = num_updates(base.denoiser, base.lora_targets, rank=3)
    assert 0 < counted == sum(weight.numel() for weight in base.trainable("lora", rank=3).values())


def test_every_base_says_whose_its_weights_are(case: Case) -> None:
    assert case.base.licence in ("apache-2.0", "mit", "cc-by-nc-sa-4.0")
