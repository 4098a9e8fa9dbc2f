"""What is FLUX.2 klein's own: flow matching, hooks on one sequence of tokens, and the real shapes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLFlux2, FlowMatchEulerDiscreteScheduler, Flux2KleinInpaintPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import NUM_BODY_MAPS, body_maps
from model.bases import open_base
from model.bases.base import BASE_FILE
from model.bases.conditions import SizeCondition
from model.bases.flux2_klein.doctor import (
    ADAPTER_WEIGHTS,
    CONFIGS,
    configs_in,
    examine,
    find_problems,
    networks_of,
    to_draw,
    to_train,
)
from model.bases.flux2_klein.flow import FlowNoising
from model.bases.flux2_klein.loading import make_transformer
from model.bases.flux2_klein.networks import KleinBase, KleinConditioning
from model.bases.flux2_klein.sequence import RESIDUALS, add_to_first, as_grid, as_tokens
from model.bases.flux2_klein.tiny import TinyKleinPreset, build_tiny_klein
from model.bases.memory import GIB
from model.params import SWITCHES, DrawingOptions
from model.pixels import from_uint8
from model.publishing import load_pipeline, save_pipeline
from model.sampling import sample_tryon
from model.weights import assign_weights
from tests.model.conftest import PRESET, jolt, keypoints, photos
from tests.model.full_size import fp16_megabytes, meta
from tests.model.klein import TRANSFORMER, SmallKleinBase, small_klein
from tests.sizes import MEANINGS
from tests.train.small_try_on import batch
from train.keyed_random import KeyedRandom
from train.loss import diffusion_loss
from train.params import LossParams
from train.sample_encoder import SampleEncoder
from train.tryon import TryOnTask

D, TEXT, MLP = 3072, 7680, 9216
"""Channels of the 4B network, of its text and of its feed-forward layers."""


@pytest.fixture(scope="module")
def small() -> SmallKleinBase:
    return small_klein().requires_grad_(False)


@pytest.fixture
def full() -> KleinBase:
    small = small_klein()
    with torch.device("meta"):
        transformer, vae = make_transformer(CONFIGS["transformer"]), AutoencoderKLFlux2()
    parts = {name: getattr(small, name) for name in ("text_encoder", "tokenizer", "scheduler")}
    return KleinBase(transformer=transformer, vae=vae, **parts)


def published_transformer() -> dict[str, Tensor]:
    """The shapes of FLUX.2 klein 4B's transformer in diffusers' layout, layer by layer."""
    layers = {
        "x_embedder": (D, 128),
        "context_embedder": (D, TEXT),
        "time_guidance_embed.timestep_embedder.linear_1": (D, 256),
        "time_guidance_embed.timestep_embedder.linear_2": (D, D),
        "double_stream_modulation_img.linear": (6 * D, D),
        "double_stream_modulation_txt.linear": (6 * D, D),
        "single_stream_modulation.linear": (3 * D, D),
        "norm_out.linear": (2 * D, D),
        "proj_out": (128, D),
    }
    for number in range(5):
        block = f"transformer_blocks.{number}"
        layers |= {f"{block}.attn.{name}": (D, D) for name in ("to_q", "to_k", "to_v", "to_out.0")}
        layers |= {f"{block}.attn.add_{name}_proj": (D, D) for name in "qkv"}
        layers[f"{block}.attn.to_add_out"] = (D, D)
        layers |= {f"{block}.attn.norm_{name}": (128,) for name in ("q", "k", "added_q", "added_k")}
        for stream in ("ff", "ff_context"):
            layers |= {f"{block}.{stream}.linear_in": (2 * MLP, D), f"{block}.{stream}.linear_out": (D, MLP)}
    for number in range(20):
        block = f"single_transformer_blocks.{number}.attn"
        layers |= {f"{block}.to_qkv_mlp_proj": (3 * D + 2 * MLP, D), f"{block}.to_out": (D, D + MLP)}
        layers |= {f"{block}.norm_q": (128,), f"{block}.norm_k": (128,)}
    return {f"{name}.weight": meta(*shape) for name, shape in layers.items()}


def test_the_published_shapes_load(full: KleinBase) -> None:
    weights = published_transformer()
    assert (len(weights), sum(weight.numel() for weight in weights.values())) == (169, 3_875_544_576)
    assign_weights(full.transformer, weights, Path("transformer"), torch.bfloat16)
    assert full.transformer.x_embedder.weight.dtype == torch.bfloat16
    assert full.licence == "apache-2.0"


def test_the_larger_network_is_not_free(small: SmallKleinBase) -> None:
    with torch.device("meta"):
        transformer = make_transformer(CONFIGS["transformer"] | {"num_attention_heads": 32})
    parts = {name: getattr(small, name) for name in ("vae", "text_encoder", "tokenizer", "scheduler")}
    assert KleinBase(transformer=transformer, **parts).licence == "other"


@torch.no_grad()
@pytest.mark.parametrize("grid", [(64, 48), (32, 24)])
def test_the_full_size_adapter_is_small_and_cheap(full: KleinBase, grid: tuple[int, int]) -> None:
    full.requires_grad_(False)
    with torch.device("meta"):
        adapter = SizeAdapter.for_sites(full.sites(), MEANINGS, encoder="hybrid")
    assert fp16_megabytes(adapter) <= 40
    picture, text = meta(1, 128, *grid), meta(1, 512, TEXT)
    told = KleinConditioning(
        mask=picture[:, :1], person_latents=picture, garment_latents=picture, text=text, no_text=text
    )

    def flops(size: bool) -> int:
        with FlopCounterMode(display=False) as counter:
            maps = meta(1, NUM_BODY_MAPS, *grid)
            features = meta(1, full.sites().garment_dim)
            answer = adapter(meta(1, 3), maps, garment_features=features) if size else None
            full.predict(picture, torch.zeros((), device="meta"), told, answer)
        return counter.get_total_flops()

    assert flops(size=False) < flops(size=True) <= 1.05 * flops(size=False)


def test_noise_comes_along_straight_lines() -> None:
    """At 250 of 1000 a quarter is noise: 0.75 * 1 + 0.25 * 3; the velocity is 3 - 1 at every time."""
    noising = FlowNoising(FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True))
    clean, noise = torch.full((1, 1, 1, 2), 1.0), torch.full((1, 1, 1, 2), 3.0)
    steps = torch.tensor([250.0])
    noisy, target = noising.add_noise(clean, noise, steps), noising.loss_target(clean, noise, steps)
    assert noisy.flatten().tolist() == [1.5, 1.5]
    assert target.flatten().tolist() == [2.0, 2.0]
    assert torch.equal(noising.clean_from(target, noisy, steps), clean)
    prediction = torch.tensor([[[[2.5, 1.0]]]])  # half and one beside the target: (0.25 + 1) / 2
    assert diffusion_loss(prediction, target, noising.loss_weight(steps, 5.0)).item() == 0.625
    assert_close(noising.signal_to_noise(torch.tensor([250.0, 1000.0])), torch.tensor([9.0, 0.0]))


def test_training_draws_each_time_of_the_scheduler_alike() -> None:
    """Share u of them all is the floor(1000 u)-th of 1 … 1000, whose sigmas are unshifted thousandths."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
    noising = FlowNoising(scheduler)
    assert noising.timesteps(torch.tensor([0.0, 0.25, 0.9995, 1.0])).tolist() == [1, 251, 1000, 1000]
    ours = noising.timesteps((torch.arange(1000) + 0.5) / 1000)
    assert_close(ours.flip(0), scheduler.timesteps)
    assert_close(noising.sigma(ours).flatten().flip(0), scheduler.sigmas)


def test_only_eulers_steps_are_taken(small: SmallKleinBase) -> None:
    with pytest.raises(ValueError, match=r"sampler must be ddim for FLUX\.2, .* got 'unipc'"):
        small.noising.sampler("unipc", 2, torch.zeros(1, 16, 4, 3))
    with torch.no_grad():
        told = small.told(photos())
    with pytest.raises(ValueError, match=r"eta must be 0 for this base, .*, got 1"):
        draw(small, told, eta=1.0)


def draw(base: KleinBase, told: KleinConditioning, **options: float) -> Tensor:
    noise = torch.randn(told.canvas.shape, generator=torch.Generator().manual_seed(1))
    chosen = DrawingOptions(num_steps=3, **options)
    return sample_tryon(base, told, chosen, noise=noise, fresh=lambda _: noise)


@torch.no_grad()
def test_what_is_worn_under_the_mask_changes_no_picture(small: SmallKleinBase) -> None:
    def pictures(change: Callable[[SimpleNamespace], None]) -> Tensor:
        batch = photos()
        change(batch)
        return small.to_images(draw(small, small.told(batch), text_guidance=4.0))

    def nothing(batch: SimpleNamespace) -> None:
        pass

    def worn(batch: SimpleNamespace) -> None:
        batch.image[batch.inpaint_mask == 1] = 255 - batch.image[batch.inpaint_mask == 1]

    def beside(batch: SimpleNamespace) -> None:
        batch.image[:, 0, 0] = 255 - batch.image[:, 0, 0]

    as_it_is = pictures(nothing)
    assert_close(pictures(worn), as_it_is, rtol=0, atol=1e-6)
    assert not torch.allclose(pictures(beside), as_it_is, atol=1e-3)


@torch.no_grad()
def test_whole_tokens_are_made_and_the_others_stay_the_persons(small: SmallKleinBase) -> None:
    """The mask ends at row 48 and column 36 of 64 x 48 px; tokens have 16: rows 1 and 2, columns 0 to 2."""
    batch = photos()
    batch.inpaint_mask = np.zeros_like(batch.inpaint_mask)
    batch.inpaint_mask[:, 16:48, 15:33] = 1
    told = small.told(batch)
    assert told.mask[0, 0].tolist() == [[0, 0, 0], [1, 1, 1], [1, 1, 1], [0, 0, 0]]
    drawn = draw(small, told)
    kept = (told.mask == 0).expand_as(drawn)
    assert torch.equal(drawn[kept], told.person_latents[kept])
    assert not torch.isclose(drawn[~kept], told.person_latents[~kept]).any(0).all()


def test_residuals_are_added_to_what_is_denoised_alone() -> None:
    residual = torch.arange(6.0).view(1, 1, 2, 3)
    assert as_tokens(residual).flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.equal(as_grid(as_tokens(residual), 2), residual)
    assert add_to_first(torch.ones(1, 8, 1), residual).flatten().tolist() == [1, 2, 3, 4, 5, 6, 1, 1]


@torch.no_grad()
def test_the_attention_never_hears_of_residuals(small: SmallKleinBase) -> None:
    """An argument that it doesn't name would be a warning at each layer and step."""
    heard: list[set[str]] = []
    blocks = small.blocks()
    hooks = [
        block.attn.register_forward_pre_hook(lambda _m, _a, given: heard.append(set(given)), with_kwargs=True)
        for block in blocks
    ]
    told = small.told(photos())
    small.predict(told.canvas, torch.tensor(300), told, sized(small, told))
    for hook in hooks:
        hook.remove()
    assert len(heard) == len(blocks) == 4
    assert all(RESIDUALS not in names for names in heard)


def sized(base: KleinBase, told: KleinConditioning, adapter: SizeAdapter | None = None) -> SizeCondition:
    torch.manual_seed(0)
    adapter = adapter or jolt(SizeAdapter.for_sites(base.sites(), MEANINGS))
    maps = body_maps(keypoints(), (PRESET.image_height, PRESET.image_width), (4, 3))
    ratios = torch.tensor([[1.0, 1.2, torch.nan], [torch.nan, torch.nan, 1.1]])
    return adapter(ratios, maps, garment_features=told.garment_features)


def test_blocks_that_run_again_on_the_way_back_have_the_same_gradients() -> None:
    base = small_klein().requires_grad_(False)
    adapter = jolt(SizeAdapter.for_sites(base.sites(), MEANINGS))
    with torch.no_grad():
        told = base.told(photos())

    def gradients() -> list[Tensor]:
        adapter.zero_grad()
        size = sized(base, told, adapter)
        base.predict(told.canvas, torch.tensor([300, 800]), told, size).square().mean().backward()
        return [weight.grad.clone() for weight in adapter.parameters() if weight.grad is not None]

    alone = gradients()
    base.transformer.enable_gradient_checkpointing()
    again = gradients()
    assert len(alone) == len(list(adapter.parameters()))
    assert all(gradient.any() for gradient in alone)
    assert all(torch.equal(a, b) for a, b in zip(alone, again, strict=True))


def test_a_network_that_reads_guidance_is_refused() -> None:
    with pytest.raises(ValueError, match="the transformer must not read guidance, as klein does not"):
        make_transformer(TRANSFORMER | {"guidance_embeds": True})


@torch.no_grad()
def test_without_text_the_garment_stays(small: SmallKleinBase) -> None:
    told = small.told(photos())
    without = told.unconditional(torch.tensor([True, False]))
    empty = small.embeddings([""])
    assert torch.equal(without.text, torch.stack([empty[0], told.text[1]]))
    assert torch.equal(told.unconditional().text, empty.expand(2, -1, -1))
    assert torch.equal(without.garment_latents, told.garment_latents)
    assert not torch.equal(told.text[0], told.text[1])


@torch.no_grad()
def test_a_garment_without_a_caption_is_told_by_its_category(small: SmallKleinBase) -> None:
    batch = photos()
    batch.captions, batch.categories = ["", ""], ["upper", "dress"]
    wanted = small.embeddings([small.prompt.format(said) for said in ("", "a dress")])
    assert torch.equal(small.told(batch).text, wanted)


@pytest.mark.parametrize("layers", ["lora", "attention", "all"])
def test_all_that_is_opened_learns(layers: str) -> None:
    base = small_klein().requires_grad_(False)
    opened = base.trainable(layers, rank=2)
    with torch.no_grad():
        told = base.told(photos())
        for name, weight in opened.items():
            if "lora_B" in name:
                weight.fill_(0.01)
    base.predict(torch.ones_like(told.canvas), torch.tensor(300), told).square().mean().backward()
    assert [name for name, weight in opened.items() if weight.grad is None or not weight.grad.any()] == []
    if layers == "lora":
        assert len(opened) == 2 * (2 * 12 + 2)
    if layers == "attention":
        assert len(opened) == 2 * (8 + 4) + 2 * (2 + 2)


@torch.no_grad()
def test_networks_that_come_block_by_block_draw_the_same_picture() -> None:
    base = small_klein().requires_grad_(False)
    told, adapter = base.told(photos()), jolt(SizeAdapter.for_sites(base.sites(), MEANINGS))
    step, size = torch.tensor(300), sized(base, told, adapter)
    alone = base.predict(told.canvas, step, told, size)
    ran: list[str] = []
    for name in ("8", "8", "16", "off"):
        base.save_memory(SWITCHES[name], "cpu")
        registries = [getattr(block, "_diffusers_hook", None) for block in base.blocks()]
        ran.append("".join("yn"[registry is None or not registry.hooks] for registry in registries))
        told = base.told(photos())
        with base.resident(base.denoiser):
            again = base.predict(told.canvas, step, told, size)
        assert_close(again, alone, rtol=0, atol=1e-6)
    assert ran == ["yyyy", "yyyy", "nnnn", "nnnn"]


@torch.no_grad()
def test_latents_and_pictures_are_each_others_inverse() -> None:
    """With an autoencoder that loses nothing: 4 x 4 px patches, whose 48 numbers are as many channels."""
    base = build_tiny_klein(TinyKleinPreset(latent_channels=48, vae_width=8), seed=0)
    images = torch.rand(2, 3, 96, 72, generator=torch.Generator().manual_seed(0)) * 2 - 1
    base.vae.fit_patches(images)
    base.normalise_latents(images)
    latents = base.to_latents(images)
    assert latents.shape == (2, base.latent_channels, 12, 9) == (2, 192, 12, 9)
    assert_close(latents.square().mean(), torch.tensor(1.0), rtol=0, atol=1e-3)
    assert_close(latents.mean((0, 2, 3)), torch.zeros(192), rtol=0, atol=1e-5)
    assert_close(base.to_images(latents), images, rtol=0, atol=1e-3)


def test_a_published_folder_opens_here_and_in_diffusers(small: SmallKleinBase, tmp_path: Path) -> None:
    adapter = jolt(SizeAdapter.for_sites(small.sites(), MEANINGS))
    save_pipeline(small, adapter, tmp_path, picture={})
    assert "license: apache-2.0\n" in (tmp_path / "README.md").read_text()
    assert type(open_base(tmp_path)) is KleinBase
    base, loaded, _ = load_pipeline(tmp_path)
    for ours, theirs in ((small, base), (adapter, loaded)):
        assert all(torch.equal(theirs.state_dict()[name], w) for name, w in ours.state_dict().items())
    stock = Flux2KleinInpaintPipeline.from_pretrained(tmp_path)
    assert torch.equal(stock.transformer.x_embedder.weight, small.transformer.x_embedder.weight)
    again = SmallKleinBase.from_pretrained(tmp_path)
    assert_close(again.embeddings(["a red coat"]), small.embeddings(["a red coat"]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("part", "file", "name"),
    [
        ("transformer", "diffusion_pytorch_model.safetensors", "x_embedder.weight"),
        ("vae", "diffusion_pytorch_model.safetensors", "bn.running_var"),
        ("text_encoder", "model.safetensors", "model.layers.0.mlp.up_proj.weight"),
    ],
)
def test_a_weight_that_is_missing_is_named(
    small: SmallKleinBase, tmp_path: Path, part: str, file: str, name: str
) -> None:
    small.save_pretrained(tmp_path)
    kept = {key: weight.clone() for key, weight in load_file(tmp_path / part / file).items() if key != name}
    save_file(kept, tmp_path / part / file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"the weights in .*{part} are not those of(.|\n)*{name}"):
        KleinBase.from_pretrained(tmp_path)


def test_a_distilled_one_is_refused(small: SmallKleinBase, tmp_path: Path) -> None:
    small.save_pretrained(tmp_path)
    assert examine(tmp_path)[0] == []
    index = tmp_path / "model_index.json"
    said = json.loads(index.read_text())
    assert said["is_distilled"] is False
    index.write_text(json.dumps(said | {"is_distilled": True}))
    refused = f"{tmp_path}: a distilled klein, drawn in 4 steps without guidance: "
    assert [line.startswith(refused) for line in examine(tmp_path)[0]] == [True]
    with pytest.raises(ValueError, match="a distilled klein, drawn in 4 steps without guidance"):
        SmallKleinBase.from_pretrained(tmp_path)


def test_a_folder_that_does_not_tell_whether_it_was_distilled_is_refused(
    small: SmallKleinBase, tmp_path: Path
) -> None:
    small.save_pretrained(tmp_path)
    (tmp_path / "model_index.json").unlink()
    (tmp_path / BASE_FILE).unlink()  # of a stranger's
    assert [line.startswith(f"{tmp_path}/model_index.json is missing") for line in examine(tmp_path)[0]] == [
        True
    ]
    with pytest.raises(ValueError, match=r"model_index\.json is missing"):
        SmallKleinBase.from_pretrained(tmp_path)


def test_tiny_networks_are_loaded_without_an_index(tmp_path: Path) -> None:
    base = build_tiny_klein(TinyKleinPreset(), 0)
    base.save_pretrained(tmp_path)
    assert not (tmp_path / "model_index.json").exists()
    assert open_base(tmp_path).name == "tiny_klein"


def test_the_doctor_reads_headers_alone(small: SmallKleinBase, tmp_path: Path) -> None:
    small.save_pretrained(tmp_path)
    configs = configs_in(tmp_path)
    assert find_problems(configs, networks_of(configs), tmp_path) == []
    config = tmp_path / "text_encoder" / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 16', '"hidden_size": 24'))
    file = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    weights = {name: weight.clone() for name, weight in load_file(file).items()}
    weights["x_embedder.weight"] = weights["x_embedder.weight"][:, :8].clone()
    save_file(weights, file, metadata={"format": "pt"})
    width, shape = examine(tmp_path)[0]
    assert width == f"{tmp_path}: text_encoder: hidden_size must be 16, got 24"
    assert shape.endswith("1 of another shape:\n  x_embedder.weight: (32, 8) for (32, 16)")
    shutil.rmtree(tmp_path / "vae")
    (tmp_path / "tokenizer" / "tokenizer.json").unlink()
    assert examine(tmp_path)[0] == [
        f"{tmp_path / 'vae'}: missing",
        f"no vocab.json or tokenizer.json in {tmp_path / 'tokenizer'}",
    ]


def test_full_size_memory_is_what_its_weights_say(full: KleinBase) -> None:
    """7.98 G weights in half precision are 14.9 GiB; one double block of 26 x 3072^2 and the rest are 0.8."""
    networks = networks_of(CONFIGS)
    drawing = {name: to_draw(networks, switches, 2) for name, switches in SWITCHES.items()}
    assert {name: round(sum(needed) / GIB, 1) for name, needed in drawing.items()} == {
        "off": 25.1,
        "24": 17.4,
        "16": 9.8,
        "8": 2.1,
    }
    assert 14.8 < to_train(networks, stored=2).counted / GIB < 15.0
    with torch.device("meta"):
        adapter = SizeAdapter.for_sites(full.sites(), MEANINGS, encoder="hybrid")
    assert sum(weight.numel() for weight in adapter.parameters()) == ADAPTER_WEIGHTS


@torch.no_grad()
def test_the_loss_of_training_is_the_velocity_s(small: SmallKleinBase) -> None:
    """Mean squared distance of what is predicted from noise - clean, at times that the samples draw."""
    task = TryOnTask(small, SampleEncoder(small), loss=LossParams())
    seen, random = batch(), KeyedRandom(0, np.arange(4))
    clean, told = small.to_latents(from_uint8(seen.image)), small.told(seen)
    noise, times = random.normal("noise", tuple(clean.shape[1:])), task.timesteps(random)
    share = (times / 1000)[:, None, None, None]
    velocity = small.predict((1 - share) * clean + share * noise, times, told)
    assert_close(task(seen, random)["diffusion"], (velocity - (noise - clean)).square().mean())


def test_low_rank_updates_come_back_and_become_part_of_what_is_published(tmp_path: Path) -> None:
    base = small_klein().requires_grad_(False)
    with torch.no_grad():
        told, step = base.told(photos()), torch.tensor(300)
        alone = base.predict(told.canvas, step, told)
        for name, weight in base.trainable("lora", rank=2).items():
            if "lora_B" in name:
                weight.fill_(0.05)
        learned = base.predict(told.canvas, step, told)
        base.denoiser.save_lora_adapter(tmp_path / "lora")
        fresh = small_klein()
        fresh.denoiser.load_lora_adapter(str(tmp_path / "lora"), prefix=None, use_safetensors=True)
        assert_close(fresh.predict(told.canvas, step, told), learned, rtol=0, atol=1e-6)
        fresh.denoiser.fuse_lora()
        fresh.denoiser.unload_lora()
        fresh.save_pretrained(tmp_path / "published")
        published = SmallKleinBase.from_pretrained(tmp_path / "published")
        assert_close(published.predict(told.canvas, step, told), learned, rtol=0, atol=1e-5)
    assert not torch.allclose(learned, alone, atol=1e-3)


@torch.no_grad()
def test_half_precision_draws_nearly_the_same(small: SmallKleinBase, tmp_path: Path) -> None:
    small.save_pretrained(tmp_path)
    half = SmallKleinBase.from_pretrained(tmp_path, torch.float16)
    assert {half.dtype, half.vae.dtype, half.text_encoder.dtype} == {torch.bfloat16}
    adapter = jolt(SizeAdapter.for_sites(small.sites(), MEANINGS))

    def drawn(base: SmallKleinBase) -> Tensor:
        told = base.told(photos())
        size = sized(base, told, adapter.to(torch.float16 if base is half else torch.float32))
        noise = torch.ones_like(told.canvas)
        options = DrawingOptions(num_steps=2, text_guidance=1.0)  # more of it multiplies what rounding does
        latents = sample_tryon(base, told, options, noise=noise, size=size)
        return base.to_images(latents)

    assert (drawn(half) - drawn(small)).abs().mean() < 0.01
